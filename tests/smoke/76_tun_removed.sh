#!/bin/bash
# Somebody removes the TUN device under an attached edge: it is noticed, made again, and carries packets.
. "$(dirname "$0")/_init.sh"

chain_net 4
chain_nodes
chain_start
ip -n A link del sky0
wait_for 10 "the device is made again" ip -n A link show sky0
expect "the log says so" grep -q 'sky0 its device is gone' "$T/A/controlplane.log"
wait_for 10 "ping again" chain_ping
logs_clean A B C
nodes_end A B C
