#!/bin/bash
# B takes whoever comes; A comes by link-local address, leaves, and B forgets it.
#
#   [A] a0 ---- b0 [B: allow = any]
. "$(dirname "$0")/_init.sh"

net_add A B
net_link A a0 fd01::1/64 B b0 fd01::2/64
node_new A a0
node_new B b0
link_local() { ip -n "$1" -j -6 addr show "$2" | jq -re '.[0].addr_info[] | select(.scope == "link" and (.tentative | not)) | .local'; }
wait_for 10 "link-local address" link_local B b0
node_conf A controlplane "transport b" "peer=${PK[B]}" "address=[$(link_local B b0)]:7780" interface=a0
node_conf B controlplane peers allow=any
node_start A B
wait_for 10 "transport" tp_up A b
count() { [ "$(sk B -j show transports | jq '[.[] | select(.state == "up" and .origin == "accepted")] | length')" = "$1" ]; }
wait_for 5 "accepted" count 1
expect "ping" sk A ping b -c 2
expect "del" sk A transport del b
wait_for 5 "forgotten" count 0
expect "said by the peer" grep -q 'closed by the peer' "$T/B/controlplane.log"
logs_clean A B
nodes_end A B
