#!/bin/bash
# A port of B loses its link and gets it back.
#
#   [A] a0 ---- b0 [B] b1 --x-- c0 [C]
. "$(dirname "$0")/_init.sh"

chain_net 4
chain_nodes
node_start A B C
wait_for 20 "all transports up" chain_up
chain_rules >/dev/null
chain_edges
expect "ping" chain_ping

link() { [ "$(sk B -j show ports | jq -r '.[] | select(.name == "p1") | .link_up')" = "$1" ]; }
ip -n C link set c0 down
wait_for 10 "link shown down" link false
no_ping() { ! in_ns A ping -q -c 2 -i 0.2 -W 1 10.9.0.2; }
expect "no ping" no_ping
same "transport a goes on" "$(tp B a state)" up
ip -n C link set c0 up
wait_for 10 "link shown up" link true
wait_for 40 "ping again" chain_ping -c 1

ip -n B link set b1 down
wait_for 10 "own link shown down" link false
sleep 1
ip -n B link set b1 up
wait_for 40 "ping again" chain_ping -c 1
expect "both processes live" alive B.dp
wait_for 5 "books" books B
nodes_end A B C
