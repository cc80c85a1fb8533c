#!/bin/bash
# A reliable link on a path that loses and takes its time, against what the kernel's TCP makes of the same path.
#
#   tests/bench/lossy.sh BUILD_DIR [--quick]
#
#   [A] a0 ---- wa0 [W: loss, rate] wr0 ---- r0 [R: delay] r1 ---- c0 [C]
#
# W is a bridge: each direction loses one frame in a hundred (nft) and has 100 Mbit/s (tbf) with a queue of one
# bandwidth-delay product. R is a wire of 25 ms (bench_relay). A and C have addresses for the kernel's TCP, and are
# nodes with an edge each: one TCP connection between the edges, over a reliable link. All count what
# the receiving program got; the optimum is what full frames of plain TCP carry of 100 Mbit/s.
set -eEuo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
BUILD=$1 QUICK=${2:-}
SKYRAIL_BIN=$BUILD/release
# shellcheck source=tests/support/net.sh
. tests/support/net.sh
net_isolate tests/bench/lossy.sh "$@"
# shellcheck source=tests/bench/_init.sh
. tests/bench/_init.sh
rounds=$(((rounds + 1) / 2))
secs=10
[ "$QUICK" != --quick ] || secs=4

RATE=100 MS=50 LOSS=1
OPTIMUM=$(jq -n "$RATE * 1448 / 1514")
QUEUE=$((RATE * 1000 * MS / 8))

# path: the namespaces and what lies between A and C
path() {
	local i
	net_add A W R C
	net_wire A a0 10.1.1.1/24 R r0 ''
	net_link R r1 '' C c0 10.1.1.2/24
	for i in "A a0" "R r0" "R r1" "C c0" "W wa0" "W wr0"; do
		# a packet is a packet: nothing larger comes to the queue, and checksums are complete
		# shellcheck disable=SC2086
		in_ns ${i% *} ethtool -K ${i#* } tx off tso off gso off gro off >/dev/null 2>&1
	done
	for i in wa0 wr0; do
		in_ns W tc qdisc add dev $i root tbf rate ${RATE}mbit burst 15kb limit $QUEUE
	done
	in_ns W nft -f - <<-EOF
		table bridge loss { chain forward { type filter hook forward priority 0;
			numgen random mod 100 < $LOSS counter drop; }; }
	EOF
	ip netns exec R nice -n -10 "$BIN/tests/bench/bench_relay" r0 r1 $((MS / 2)) >"$T/relay" &
	PID[relay]=$!
	wait_for 5 "relay" grep -q ready "$T/relay"
	wait_for 5 "path" in_ns A ping -q -c 1 10.1.1.2
}

# nodes: A and C, one reliable link
nodes() {
	node_new A a0
	node_new C c0
	node_peer A c C 10.1.1.2:7780 "$@"
	node_peer C a A 10.1.1.1:7780 "$@"
	node_start A C
	wait_for 20 "transport" tp_up A c
	wait_for 20 "transport" tp_up C a
	sk C rule add consume id=301 in=a --static
	sk A rule add consume id=102 in=c --static
	sk A rule add forward id=101 next=301 transport=c --static
	sk C rule add forward id=302 next=102 transport=a --static
	chain_edges
	wait_for 10 "link" chain_ping
}

# mbit ADDRESS CONTROL: Mbit/s of one connection, once it had time to find its rate
mbit() {
	in_ns A iperf3 -c "$1" -C "$2" -t $secs -O 5 -J | jq '.end.sum_received.bits_per_second / 1e6'
}

path
nodes >/dev/null
in_ns C iperf3 -s -D
if ! in_ns A grep -qw bbr /proc/sys/net/ipv4/tcp_available_congestion_control; then
	echo "the kernel has no BBR: left out" && exit 0
fi
ours='' cubic='' bbr='' best=''
for ((i = 0; i < rounds; i++)); do
	ours+=" $(mbit 10.9.0.2 cubic)"
	cubic+=" $(mbit 10.1.1.2 cubic)"
	bbr+=" $(mbit 10.1.1.2 bbr)"
	best+=" $OPTIMUM"
done
figure goodput_1pct_50ms_net "Mbit/s, to the optimum" "$ours" "$best" 0.8
figure goodput_vs_tcp_cubic "Mbit/s, to TCP CUBIC" "$ours" "$cubic" 10
figure goodput_vs_tcp_bbr "Mbit/s, to TCP BBR" "$ours" "$bbr" 0.9
sk A -j show transports | jq -r '.[0] | "    the link: \(.rtt_us) us, \(.tx_lost) datagrams found lost, \(.timeouts) time-outs"'
in_ns W nft -j list ruleset | jq -r '"    the path: \([.. | .counter? // empty | .packets] | add) frames dropped"'
node_stop A C
node_kill relay TERM || true
sed -n 's/^relayed/    the wire: relayed/p' "$T/relay"
