#!/bin/bash
# B's data plane comes back with nothing of what it knew: reliable routes through it can't go on, so
# they end at both edges, each of which is told why as soon as the link is up again.
#
#   [A] ---- [B, its data plane is killed] ---- [C]
. "$(dirname "$0")/_init.sh"

chain_net 4
chain_nodes
chain_start 10m

node_kill B.dp KILL || true
dp_start B
edge_state() { sk "$1" -j show edges | jq -r '.[0].state'; }
edge_is() { [ "$(edge_state "$1")" = "$2" ]; }
wait_for 60 "all transports up again" chain_up
for n in A C; do wait_for 5 "edge of $n is told" edge_is $n 'rule gone'; done
for r in "A 101" "A 102" "C 301" "C 302"; do
	# shellcheck disable=SC2086
	expect "rule $r ended" rule_gone $r
done
for n in A C; do expect "why, in the log of $n" grep -q 'edge=sky0 route ended.*lost its state' "$T/$n/controlplane.log"; done
say "a route that is made again works"
chain_rules 10m >/dev/null
sk A edge attach sky0 forward=101 consume=102
sk C edge attach sky0 forward=302 consume=301
expect "ping" chain_ping
for n in A B C; do wait_for 5 "books of $n" books $n; done
nodes_end A B C
