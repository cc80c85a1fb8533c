#!/bin/bash
# A port of B loses its link and gets it back: its neighbour's interface goes down, its own does, and both
# are deleted and made again. By af_packet, then by af_xdp.
#
#   [A] a0 ---- b0 [B] b1 --x-- c0 [C]
. "$(dirname "$0")/_init.sh"

link() { [ "$(sk "$1" -j show ports | jq -r --arg p "$2" '.[] | select(.name == $p) | .link_up')" = "$3" ]; }
frames() { sk B -j show counters | jq '[.[] | select(.of == "p1" and .name == "port_rx_frames") | .value] | add'; }
no_ping() { ! in_ns A ping -q -c 2 -i 0.2 -W 1 10.9.0.2; }

chain_net 4
chain_nodes
node_start A B C
wait_for 20 "all transports up" chain_up
chain_rules >/dev/null
chain_edges

down_and_up() {
	local seen before handshakes
	expect "ping" chain_ping
	ip -n C link set c0 down
	wait_for 10 "link shown down" link B p1 false
	expect "no ping" no_ping
	same "transport a goes on" "$(tp B a state)" up
	ip -n C link set c0 up
	wait_for 10 "link shown up" link B p1 true
	wait_for 40 "ping again" chain_ping -c 1

	ip -n B link set b1 down
	wait_for 10 "own link shown down" link B p1 false
	sleep 1
	ip -n B link set b1 up
	wait_for 40 "ping again" chain_ping -c 1

	before=$(frames)
	handshakes=$(tp B c handshakes)
	seen=$(wc -l <"$T/B/dataplane.log")
	ip -n B link del b1
	wait_for 10 "own link shown down" link B p1 false
	expect "no ping" no_ping
	same "transport a goes on" "$(tp B a state)" up
	net_link B b1 "$IP_BC/24" C c0 "$IP_C/24"
	wait_for 10 "link of B shown up" link B p1 true
	wait_for 10 "link of C shown up" link C p0 true
	wait_for 40 "ping by other interfaces" chain_ping -c 1
	same "handshakes of c" "$(tp B c handshakes)" "$handshakes"
	expect "it says so" grep -q 'port=p1 opened again' <(tail -n "+$((seen + 1))" "$T/B/dataplane.log")
	counted() { [ "$(frames)" -gt "$before" ]; }
	wait_for 5 "counters that go on" counted
	expect "both processes live" alive B.dp
	wait_for 5 "books" books B
}

say "by af_packet"
# a worker that gets no processor: what the kernel's ring has no room for is counted, then it goes on
kill -STOP "${PID[B.dp]}"
in_ns A python3 -c "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(6000): s.sendto(b'x' * 40, ('$IP_BA', 7780))"
kill -CONT "${PID[B.dp]}"
missed() { sk B -j show ports | jq '.[] | select(.name == "p0") | .rx_missed'; }
full() { [ "$(missed)" -gt 0 ]; }
wait_for 5 "frames missed" full
expect "as many as its 4096 slots left out" test "$(missed)" -ge 1800 -a "$(missed)" -le 2500
down_and_up
node_kill B.dp TERM || fail "data plane of B ended with $?"
sed -i -E 's/^device = net_af_packet/device = net_af_xdp/' "$T/B/dataplane.ini"
if dp_start B; then
	wait_for 20 "all transports up" chain_up
	wait_for 40 "ping" chain_ping -c 1
	say "by af_xdp"
	down_and_up
	nodes_end B
else
	grep -qE 'no right to load an XDP|(Operation not supported|Function not implemented|Invalid argument)$' \
		"$T/B/dataplane.log" || fail "data plane of B: $(tail -n 3 "$T/B/dataplane.log")"
	say "AF_XDP does not work here: left out"
	node_kill B.cp TERM || fail "control plane of B ended with $?"
fi
nodes_end A C
