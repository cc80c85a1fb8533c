#!/bin/bash
# A vanishes without a word; B finds out, keeps its rules, and A's return brings traffic back.
#
#   [A, both processes are killed] ---- [B] ---- [C]
. "$(dirname "$0")/_init.sh"

chain_net 4
chain_nodes "mode=${MODE:-reliable}"
for n in A B C; do node_conf $n controlplane link keepalive=2s dead=6s; done
chain_start

node_kill A.cp KILL || true
node_kill A.dp KILL || true
wait_for 15 "transport a known dead" tp_not_up B a
say "B says: $(tp B a state), $(tp B a note)"
same "transport c goes on" "$(tp B c state)" up
# what comes for A now is dropped with a reason: at once, or (reliable) when the link is given up
before=$(counter B drop_hop_gone drop_seal_hop drop_seal_freed)
in_ns C ping -q -c 3 -i 0.2 -W 1 10.9.0.1 >/dev/null || true
dropped() { [ "$(counter B drop_hop_gone drop_seal_hop drop_seal_freed)" -gt "$before" ]; }
wait_for 25 "drops named" dropped

node_start A
wait_for 70 "transport a up again" tp_up B a
sk A rule add consume id=102 in=b --static
sk A rule add forward id=101 next=201 transport=b --static
sk A edge add sky0 address=10.9.0.1/24 2>/dev/null || true # the device outlived its maker
sk A edge attach sky0 forward=101 consume=102
wait_for 10 "ping again" chain_ping -c 1
for n in A B C; do wait_for 5 "books of $n" books $n; done
nodes_end A B C
