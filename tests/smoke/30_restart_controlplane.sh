#!/bin/bash
# B's control plane dies by SIGKILL under load and comes back: no packet is lost, and the new one
# adopts transports and rules.
#
#   iperf3 -c [A] ---- [B, its control plane is killed] ---- [C] iperf3 -s
. "$(dirname "$0")/_init.sh"

chain_net 4
chain_nodes
chain_start 30s

in_ns C iperf3 -s -1 >"$T/iperf-s.log" 2>&1 &
server=$!
wait_for 5 "iperf3" in_ns C bash -c 'ss -ltn | grep -q :5201'
drops0=$(drops B)
in_ns A iperf3 -c 10.9.0.2 -u -b 8M -l 1000 -t 8 -J >"$T/iperf.json" &
client=$!
sleep 2
forwarded=$(counter B pkt_forwarded)
node_kill B.cp KILL || true
say "control plane of B killed after $forwarded packets"
sleep 2
expect "B's data plane lives" alive B.dp
cp_start B
say "it is back"
expect "more was forwarded" test "$(counter B pkt_forwarded)" -gt $((forwarded + 1000))
wait $client
wait $server
sleep 0.5

# the receiving program may have been too slow for some; the nodes lost none
say "$(jq -r '.end.sum | "\(.packets) packets, \(.lost_packets) did not reach the program"' "$T/iperf.json")"
wait_for 5 "all packets, sent = received" chain_whole || fail "sent = received: $(chain_links)"
same "drops in B" "$(drops B)" "$drops0"
for id in 201 202; do
	expect "rule $id adopted" test -n "$(rule B $id id)"
done
same "transport a" "$(tp B a state)" up
same "transport c" "$(tp B c state)" up
wait_for 5 "books" books B
expect "ping at last" chain_ping

# what was adopted can be changed
sk B rule del 201
wait_for 5 "rule 201 removed" rule_gone B 201
logs_clean A B C
nodes_end A B C
