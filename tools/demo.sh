#!/bin/bash
# The demo: a route from A to C through B, carried by three nodes on this machine, with real programs.
#
#   tools/demo.sh [DIRECTORY OF THE PROGRAMS]          `make demo` builds first
#
# Everything lives in namespaces of its own and goes with them, whatever way this ends. Exits non-zero
# if anything failed. SKYRAIL_DEMO_MB sets the size of the file (100; a small one is there before the
# control plane was killed under it).
set -eEuo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
SKYRAIL_BIN=${1:-build/release}
# shellcheck source=tests/support/net.sh
. tests/support/net.sh
net_isolate tools/demo.sh "$@"
net_temp

MB=${SKYRAIL_DEMO_MB:-100}
bold='' dim='' green='' red='' off='' live=''
if [ -t 1 ]; then
	bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' off=$'\e[0m' live=1
fi
title() { printf '\n%s%s%s\n' "$bold" "$*" "$off"; }
remark() { fold -sw 76 <<<"$*" | sed "s/^/    $dim/; s/\$/$off/"; } # of 80 columns
good() { printf '  %s✓%s %s\n' "$green" "$off" "$*"; }
fail() {
	printf '  %s✗ %s%s\n' "$red" "$*" "$off"
	exit 1
}

demo_end() {
	local rc=$? n log
	trap - EXIT ERR
	if [ $rc -ne 0 ]; then
		for log in "$T"/*/*.log "$T"/*.log; do
			[ -s "$log" ] && printf '%s---- %s%s\n' "$dim" "${log#"$T"/}" "$off" && tail -n 15 "$log"
		done
		printf '\n%sthe demo FAILED%s\n' "$red$bold" "$off"
	fi
	rm -rf "$T"
	exit $rc
}
trap demo_end EXIT
trap 'exit 130' INT TERM
trap 'printf "  line %d: %s\n" $LINENO "$BASH_COMMAND" >&2' ERR

# table WHAT: what B's node says of it now; on a terminal as wide as that, less the blanks before it
table() {
	local ask=("$BIN/skyrail" -s "$T/B/run/control.sock" show "$1")

	printf '%s  B: skyrail show %s%s\n' "$dim" "$1" "$off"
	if [ -n "$live" ]; then
		script -qec "stty cols $(($(tput cols 2>/dev/null || echo 80) - 2)); ${ask[*]@Q}" /dev/null </dev/null |
			tr -d '\r'
	else
		"${ask[@]}" 2>&1
	fi | sed 's/^/  /' || true
}

tables() {
	local what
	for what in transports rules drops; do table "$what"; done
}

# watch_while PID: B's tables for as long as the process runs; redrawn on a terminal
watch_while() {
	local drawn=0 text next=0 end=$((SECONDS + 90))
	while kill -0 "$1" 2>/dev/null; do
		[ $SECONDS -lt $end ] || { kill "$1" && fail "no end in 90 s"; }
		if [ $SECONDS -ge $next ]; then
			text=$(tables)
			[ "$drawn" -eq 0 ] || printf '\e[%dA\e[J' "$drawn"
			printf '%s\n' "$text"
			[ -z "$live" ] || drawn=$(wc -l <<<"$text")
			next=$((SECONDS + (${live:-4} == 1 ? 1 : 4)))
		fi
		sleep 0.2
	done
	wait "$1"
}

printf '%sskyrail demo%s: three nodes on this machine, a data plane and a control plane each\n\n' "$bold" "$off"
printf '%s\n' \
	'     namespace A                namespace B                namespace C' \
	'   ping curl iperf3                                       web server, iperf3' \
	'     sky0 10.9.0.1                                          sky0 10.9.0.2' \
	'         |                                                      |' \
	'       [ A ] ==== rail ==== a0   b0 [ B ] b1   c0 ==== rail ==== [ C ]' \
	'                   10.1.1.0/24   forwards only   10.1.2.0/24'

title "1. Nodes"
chain_net 4
chain_nodes
node_start A B C
for n in A B C; do
	good "$n runs: data plane ${PID[$n.dp]}, control plane ${PID[$n.cp]}, key ${PK[$n]:0:16}…"
done

title "2. Transports: Noise handshakes A-B and B-C"
wait_for 20 "transports" chain_up || fail "transports did not come up"
table transports
good "both are up, sealed with $(tp B a cipher)"
crossed=$(sk B -j show counters | jq '[.[] | select(.name == "drop_hs_crossed") | .value] | add')
[ "$crossed" = 0 ] || remark "both ends called at once, where one handshake is enough: B dropped $crossed (drop_hs_crossed below)"

title "3. Rules by the CLI, edges in A and C"
chain_rules 10s >/dev/null
chain_edges
table rules
good "one route each way: A 101 -> B 201 -> C 301, C 302 -> B 202 -> A 102"

title "4. Ping through B"
in_ns A ping -n -q -c 100 -i 0.02 10.9.0.2 >"$T/ping.log" || fail "no answer"
latency=$(sed -n 's/^rtt [^=]*= \([^ ]*\) ms.*/\1/p' "$T/ping.log" | awk -F/ '{ printf "%.2f ms (least %.2f, most %.2f)", $2, $1, $3 }')
good "$(sed -n 's/^\(.*packet loss\).*/\1/p' "$T/ping.log")"
remark "round trip $latency"

title "5. A file of $MB MB by curl, while B's control plane is killed and started again"
mkdir "$T/www"
head -c "${MB}M" /dev/urandom >"$T/www/file"
in_ns C python3 -m http.server --bind 10.9.0.2 --directory "$T/www" 8080 >"$T/http.log" 2>&1 &
wait_for 5 "web server" in_ns A curl -sfI http://10.9.0.2:8080/file || fail "no web server"
wait_for 5 "counters" chain_whole || fail "the counters of the nodes differ before"
drops0=$(drops B) packets0=$(rule B 202 packets) cp0=${PID[B.cp]}
in_ns A curl -sf --max-time 80 --limit-rate $((MB / 10 + 1))M -o "$T/copy" http://10.9.0.2:8080/file &
transfer=$!
disown "$cp0" # the shell need not say that it was killed
(sleep 3 && kill -KILL "$cp0") &
watch_while $! # B's tables, until the kill
printf '  %sB: the control plane got SIGKILL; its data plane goes on alone%s\n' "$bold" "$off"
sleep 2
alive B.dp || fail "B's data plane died too"
kill -0 $transfer 2>/dev/null || fail "the transfer ended too early to show anything"
cp_start B || fail "B's control plane did not come back"
printf '  %sB: a new control plane, %s, took over%s\n' "$bold" "${PID[B.cp]}" "$off"
remark "UP FOR and what the control plane counts itself, of handshakes (drop_hs_crossed), begin again;" \
	"keys, packets and all other counters are the data plane's and went on"
watch_while $transfer || fail "curl failed with $?"
cmp "$T/www/file" "$T/copy" || fail "the copy differs"
good "checksums agree: $(sha256sum <"$T/copy" | cut -c 1-32)…"
wait_for 5 "counters" chain_whole || fail "packets were lost: sent=received $(chain_links)"
[ "$(drops B)" = "$drops0" ] || fail "B dropped $(($(drops B) - drops0)) packets"
good "no packet lost: $(($(rule B 202 packets) - packets0)) left C and all of them crossed B and reached A"

title "6. iperf3 through B"
in_ns C iperf3 -s >"$T/iperf3.log" 2>&1 &
wait_for 5 "iperf3" in_ns C sh -c 'ss -ltn | grep -q :5201' || fail "no iperf3 server"
in_ns A iperf3 -c 10.9.0.2 -t 5 -J >"$T/tcp.json" &
watch_while $! || fail "iperf3 TCP: $(jq -r .error "$T/tcp.json")"
tcp=$(jq '.end.sum_received.bits_per_second / 1e6 | round' "$T/tcp.json")
good "TCP $tcp Mbit/s"
# what kernels lose at both ends of the route: in A before sky0, in C where iperf3 does not fetch it
queue_full() { ip -n A -s -j link show sky0 | jq '.[0].stats64.tx.dropped'; }
socket_full() { in_ns C sed -n 's/^Udp:\( [0-9]*\)\{4\} \([0-9]*\).*/\2/p' /proc/net/snmp; }
queue0=$(queue_full) socket0=$(socket_full)
in_ns A iperf3 -c 10.9.0.2 -u -b 100M -l 1200 -t 4 -J >"$T/udp.json" &
watch_while $! || fail "iperf3 UDP: $(jq -r .error "$T/udp.json")"
udp=$(jq -r '.end.sum | "\(.bits_per_second / 1e6 | round) Mbit/s, \(.packets) datagrams, jitter \(.jitter_ms * 1000 | round) us"' "$T/udp.json")
lost=$(jq .end.sum.lost_packets "$T/udp.json")
queue=$(($(queue_full) - queue0)) socket=$(($(socket_full) - socket0))
good "UDP $udp"
udp_lost="$((lost > queue + socket ? lost - queue - socket : 0)) on the way, $queue before sky0, $socket at iperf3's socket"
if [ $((lost + queue + socket)) -gt 0 ]; then
	remark "Dropped: $udp_lost, $((lost > queue + socket ? lost : queue + socket)) in all."
	remark "Before sky0 it is A's kernel whose queue was full; at the socket C's kernel had no room, for iperf3" \
		"did not fetch in time (RcvbufErrors): these went all the way and are no loss of the nodes."
	[ "$lost" -ge $((queue + socket)) ] ||
		remark "iperf3 itself misses $lost only: what was dropped behind the last datagram that it read, it" \
			"does not know of."
fi
wait_for 5 "books" books B || fail "B's books do not balance"
good "B's books balance: each packet was forwarded, consumed or counted in one named drop"

title "7. The edges let go: nobody keeps the routes alive, the sweeper takes them"
sk A edge detach sky0
sk C edge detach sky0
routes_gone() { for n in A B C; do [ "$(sk $n -j show rules | jq length)" = 0 ] || return; done; }
(wait_for 30 "sweeper" routes_gone) &
watch_while $! || fail "rules were not swept"
[ -n "$live" ] || table rules
good "all rules are gone; B: $(sk B -j show node | jq .rules_expired) expired"

title "8. Orderly end"
node_stop A B C || fail "a process ended with an error"
good "all six processes ended well"

title "Summary"
printf '  %-24s %s\n' \
	"TCP through B" "$tcp Mbit/s" \
	"UDP through B" "$udp" \
	"UDP datagrams lost" "$udp_lost" \
	"round trip" "$latency" \
	"file" "$MB MB, checksums agree" \
	"control plane killed" "no packet lost"
printf '\n%severything worked%s\n' "$green$bold" "$off"
