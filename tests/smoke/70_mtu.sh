#!/bin/bash
# Packets larger than the path go in parts; jumbo frames; a packet of each size comes through whole.
#
#   [A] a0 --1280-- b0 [B] b1 --9000-- c0 [C]       TUN devices with 1280, then 9000 bytes
. "$(dirname "$0")/_init.sh"

chain_net 4
ip -n A link set a0 mtu 1280
ip -n B link set b0 mtu 1280
ip -n B link set b1 mtu 9000
ip -n C link set c0 mtu 9000
chain_nodes "mode=${MODE:-reliable}"
node_start A B C
wait_for 20 "all transports up" chain_up
chain_rules >/dev/null
chain_edges 9000

sizes() {
	local s
	for s in "$@"; do
		chain_ping -c 2 -s "$s" -M "do" || fail "ping with $s bytes"
	done
}
sizes 56 512 1100 1170 1180 1190 1200 1210 1220 1230 1240 1252
sizes 1253 1400 2000 2400 4000 8972
# in reliable mode parts are the link's business, and only what they were joined to is counted
if [ "${MODE:-reliable}" = reliable ]; then
	expect "joined at B" test "$(counter B rel_joined)" -gt 0
else
	expect "parts from A" test "$(counter A seal_parted)" -gt 0
	expect "parts at B" test "$(counter B parts_rx)" -gt 0
fi
same "parts that never became whole" "$(counter A parts_dropped)$(counter B parts_dropped)$(counter C parts_dropped)" 000

# a flood of large ones: memory for joining is bounded and given back
in_ns A ping -q -c 2000 -f -s 8000 -W 2 10.9.0.2 >"$T/ping.log"
say "$(grep loss "$T/ping.log")"
for n in A B C; do wait_for 5 "books of $n" books $n; done
expect "ping" chain_ping
logs_clean A B C
nodes_end A B C

# a port that carries less than 1280 bytes is refused in one line
ip -n A link set a0 mtu 1000
if in_ns A timeout 20 "$BIN/skyrail-dataplane" -- -c "$T/A/dataplane.ini" >"$T/small.log" 2>&1; then
	fail "a port with 1000 bytes was taken"
fi
expect "message" grep -qE 'p0.*(1280|1000)' "$T/small.log"
