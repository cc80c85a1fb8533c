#!/bin/bash
# Nodes with two workers. The transports of the middle one change the worker under load, by hand and by
# `skyrail worker rebalance`: nothing is lost, and the books balance. MODE=datagram: the same by plain ones.
#
#   sky0 10.9.0.1 [A] a0 ---- b0 [B] b1 ---- c0 [C] 10.9.0.2 sky0
. "$(dirname "$0")/_init.sh"

owners() { echo "$(tp B a owner) $(tp B c owner)"; }

NODE_WORKERS=2
chain_net 4
chain_nodes "mode=${MODE:-reliable}"
chain_start 30s

# packets that nobody above repeats
in_ns C iperf3 -s -1 >"$T/iperf-s.log" 2>&1 &
server=$!
wait_for 5 "iperf3" in_ns C bash -c 'ss -ltn | grep -q :5201'
in_ns A iperf3 -c 10.9.0.2 -u -b 4M -l 1000 -t 12 -J >"$T/iperf.json" &
client=$!
sleep 1
moves=0
for to in "0 1" "1 0" "1 1" "0 0" "0 1" "1 0" "0 0" "1 1"; do
	sk B transport move a "worker=${to% *}"
	sk B transport move c "worker=${to#* }"
	same "owners" "$(owners)" "$to"
	moves=$((moves + 2))
	sleep 0.2
done
wait $client
wait $server
say "$(jq -r '.end.sum | "\(.packets) packets, \(.lost_packets) did not reach the program"' "$T/iperf.json") ($moves moves)"

ip netns exec A ping -q -i 0.002 -w 100 10.9.0.2 >/dev/null &
pinger=$!
sleep 0.5
say "$(sk B worker rebalance over=500ms | tr '\n' ';')"
expect "transports are on two workers" test "$(tp B a owner)" != "$(tp B c owner)"
same "hops of the workers" "$(sk B -j show workers | jq -c '[.[].hops]')" '[1,1]'
settled() { sk B worker rebalance over=500ms | tee "$T/again" | grep -q "nothing to gain"; }
wait_for 5 "nothing to gain" settled || fail "$(cat "$T/again")"
kill $pinger
wait $pinger || true
wait_for 10 "all packets, sent = received" chain_whole || fail "sent = received: $(chain_links)"
for n in A B C; do
	same "packets freed or dropped on the way at $n" \
		"$(counter $n drop_seal_freed drop_route_ended drop_handoff_tx drop_handoff_rx drop_hop_gone drop_index drop_up_ring)" 0
	wait_for 5 "books of $n" books $n || books $n
done

# what can't be done is said
! sk B transport move a worker=7 2>"$T/refused" || fail "worker 7 took it"
expect "said why" grep -q "no worker 7" "$T/refused"
! sk B transport move nobody worker=0 2>"$T/refused" || fail "a transport that is not there moved"
expect "said why" grep -q "no transport 'nobody'" "$T/refused"

# a link that moved is re-keyed, found again by a new control plane, and ended as others
sk B transport move c worker=0
node_kill B.cp KILL || true
cp_start B
wait_for 10 "adopted" chain_up
same "owner" "$(tp B c owner)" 0
expect "ping" chain_ping
logs_clean A B C
nodes_end A B C
