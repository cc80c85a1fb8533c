#!/bin/bash
# B's data plane dies and comes back: its control plane gives it everything again, the peers shake
# hands with the new instance, traffic over static rules resumes by itself.
#
#   [A] ---- [B, its data plane is killed] ---- [C]
. "$(dirname "$0")/_init.sh"

chain_net 4
chain_nodes
chain_start
epoch=$(sk B -j show node | jq .epoch)

node_kill B.dp KILL || true
say "data plane of B killed"
detached() { [ "$(sk B -j show node | jq .dp_attached)" = false ]; }
wait_for 10 "control plane noticed" detached
dp_start B
wait_for 10 "control plane attached" cp_ready B
expect "a new epoch" test "$(sk B -j show node | jq .epoch)" != "$epoch"
wait_for 60 "ping again" chain_ping -c 1
say "traffic resumed"
expect "rule 201" test "$(rule B 201 fixed)" = true
expect "ping" chain_ping

# the same at an edge node
node_kill A.dp KILL || true
dp_start A
wait_for 60 "ping again" chain_ping -c 1
say "traffic resumed"
for n in A B C; do wait_for 5 "books of $n" books $n; done
nodes_end A B C
