#!/bin/bash
# Junk at B's port, from A's namespace and from A's own address, as fast as a script can: nothing
# crashes, no buffer is lost, everything is counted, and good traffic goes on.
#
#   junk [A] ---- [B] ---- [C]
. "$(dirname "$0")/_init.sh"

chain_net 4
chain_nodes
chain_start
mbufs() { sk B -j show memory | jq '[.[] | select(.name | test("mbuf|packet")) | .used] | add'; }
sleep 1
used=$(mbufs)

in_ns A python3 tests/smoke/junk.py 10.1.1.2 7780 6 >"$T/junk.log" &
junk=$!
in_ns A ping -q -c 20 -i 0.2 -W 2 10.9.0.2 >"$T/ping.log" || true
wait $junk
say "$(cat "$T/junk.log"); $(grep loss "$T/ping.log")"
expect "pings came through" test "$(sed -n 's/.* \([0-9]*\) received.*/\1/p' "$T/ping.log")" -ge 19
expect "junk counted" test "$(drops B)" -gt 1000
drops_text B
sleep 1
wait_for 5 "books" books B
expect "both processes live" alive B.dp
expect "control plane" cp_ready B
say "buffers in use: $used before, $(mbufs) after"
expect "no buffer lost" test "$(mbufs)" -le $((used + 64))
expect "ping" chain_ping
nodes_end A B C
