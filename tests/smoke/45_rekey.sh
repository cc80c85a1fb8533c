#!/bin/bash
# Keys change every two seconds under load, inside the sealed links: not a packet is lost for it.
#
#   iperf3 -c [A] ---- [B] ---- [C] iperf3 -s
. "$(dirname "$0")/_init.sh"

chain_net 4
chain_nodes
for n in A B C; do node_conf $n controlplane link rekey=2s; done
chain_start

in_ns C iperf3 -s -1 >"$T/iperf-s.log" 2>&1 &
wait_for 5 "iperf3" in_ns C bash -c 'ss -ltn | grep -q :5201'
in_ns A iperf3 -c 10.9.0.2 -u -b 8M -l 1000 -t 9 -J >"$T/iperf.json"
say "$(jq -r '.end.sum | "\(.packets) packets, \(.lost_packets) did not reach the program"' "$T/iperf.json")"
wait_for 5 "all packets, sent = received" chain_whole || fail "sent = received: $(chain_links)"
for t in "A b" "B a" "B c" "C b"; do
	read -r n name <<<"$t"
	say "$n: transport $name had $(tp "$n" "$name" rekeys) keys, $(tp "$n" "$name" handshakes) handshakes"
	expect "$n re-keyed $name" test "$(tp "$n" "$name" rekeys)" -ge 3
	expect "lost on $name of $n" test "$(tp "$n" "$name" lost)" -le 1 # a probe of crossing handshakes
	same "failed tags on $name of $n" "$(tp "$n" "$name" bad_tag)" 0
done
for n in A B C; do wait_for 5 "books of $n" books $n; done
logs_clean A B C
nodes_end A B C
