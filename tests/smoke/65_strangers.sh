#!/bin/bash
# Who is not listed gets no answer at all, though it can prove its key, and nothing is kept of it.
#
#   [A, a key that B does not list] a0 ---- b0 [B, allow = listed] b1 ---- c0 [C, listed]
. "$(dirname "$0")/_init.sh"

chain_net 4
node_new A a0
node_new B b0 b1
node_new C c0
for n in A B C; do node_conf $n controlplane link keepalive=2s dead=6s; done
node_peer A b B "$IP_BA:7780"
node_peer B c C "$IP_C:7780"
node_peer C b B "$IP_BC:7780"
node_start A B C
wait_for 20 "C and B" tp_up B c
sleep 4
expect "A stays outside" tp_not_up A b
same "transports of B" "$(sk B -j show transports | jq length)" 1
expect "handshakes came" test "$(counter B rx_handshake)" -gt 0
same "answers that A got" "$(counter A rx_handshake)" 0

# allowed by name it gets in, while all runs
sk B transport add a "peer=${PK[A]}"
wait_for 70 "A and B" tp_up A b
sk B transport del a
wait_for 40 "A out again" tp_not_up A b
wait_for 5 "books" books B
nodes_end A B C
