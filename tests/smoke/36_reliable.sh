#!/bin/bash
# Reliable transports on links that lose one datagram in a hundred, both ways: everything arrives, and
# the counters say that it was not for want of losses. B's control plane dies under load meanwhile.
#
#   sky0 [A] a0 -x-- b0 [B, its control plane is killed] b1 -x-- c0 [C] sky0
. "$(dirname "$0")/_init.sh"

# lose IF...: one rail datagram in a hundred of those that leave there
lose() {
	for i in "$@"; do
		in_ns W nft -f - <<-END
			table netdev lose_$i {
				chain in {
					type filter hook ingress device "w$i" priority 0;
					udp dport 7780 numgen random mod 100 < 1 counter drop
				}
			}
		END
	done
}
lost_by() { in_ns W nft -j list table netdev "lose_$1" | jq '[.. | .counter? | objects | .packets] | add'; }

net_add A B C W
IP_A=10.1.1.1 IP_BA=10.1.1.2 IP_BC=10.1.2.1 IP_C=10.1.2.2
net_wire A a0 $IP_A/24 B b0 $IP_BA/24
net_wire B b1 $IP_BC/24 C c0 $IP_C/24
chain_nodes mode=reliable
node_start A B C
wait_for 20 "all transports up" chain_up
same "mode" "$(tp B c mode)" reliable
chain_rules 30s >/dev/null
chain_edges
expect "ping" chain_ping
lose a0 b0 b1 c0

in_ns A ping -n -q -c 200 -i 0.02 -W 5 10.9.0.2 >"$T/ping.log"
expect "200 of 200 answers: $(grep received "$T/ping.log")" grep -q ' 200 received' "$T/ping.log"

# a file, by TCP
head -c 8000000 /dev/urandom >"$T/file"
in_ns C python3 -m http.server --bind 10.9.0.2 --directory "$T" 8080 >"$T/http.log" 2>&1 &
wait_for 5 "web server" in_ns C curl -sfI http://10.9.0.2:8080/file
in_ns A curl -sf --max-time 100 -o "$T/copy" http://10.9.0.2:8080/file
expect "same file" cmp "$T/file" "$T/copy"

# packets that nobody above repeats, and B's control plane dies
in_ns C iperf3 -s -1 >"$T/iperf-s.log" 2>&1 &
server=$!
wait_for 5 "iperf3" in_ns C bash -c 'ss -ltn | grep -q :5201'
in_ns A iperf3 -c 10.9.0.2 -u -b 8M -l 1000 -t 6 -J >"$T/iperf.json" &
client=$!
sleep 2
node_kill B.cp KILL || true
say "control plane of B killed"
sleep 1
cp_start B
say "it is back"
wait $client
wait $server
say "$(jq -r '.end.sum | "\(.packets) packets, \(.lost_packets) did not reach the program"' "$T/iperf.json")"
wait_for 10 "all packets, sent = received" chain_whole || fail "sent = received: $(chain_links)"
same "transport c" "$(tp B c state)" up
for id in 201 202; do
	expect "rule $id adopted" test -n "$(rule B $id id)"
done

n=0
for i in a0 b0 b1 c0; do n=$((n + $(lost_by $i))); done
say "$n datagrams were lost on the way"
expect "datagrams were lost" test "$n" -gt 100
for t in "A b" "B a" "B c" "C b"; do
	# shellcheck disable=SC2086 # two words
	say "$t: $(tp $t tx_lost) lost, $(tp $t retransmitted) frames sent again, window $(tp $t cwnd), $(tp $t timeouts) time-outs"
	# shellcheck disable=SC2086
	expect "frames were sent again by $t" test "$(tp $t retransmitted)" -gt 0
done
for n in A B C; do
	same "packets freed instead of delivered at $n" "$(counter $n drop_seal_freed drop_route_ended drop_handoff_tx drop_up_ring)" 0
	wait_for 5 "books of $n" books $n || books $n
done
logs_clean A B C
nodes_end A B C
