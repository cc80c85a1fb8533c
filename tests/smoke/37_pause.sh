#!/bin/bash
# One route ends behind a link that carries little: its edge is told to wait, hop by hop, and no packet of
# it is dropped in a node; another route of the same nodes runs free meanwhile.
#
#   sky0 [A] ---- [B] ---- [C] sky0
#   sky1 [A] ----  |  -400 kB/s- [D] sky1
. "$(dirname "$0")/_init.sh"

net_add A B C D W
IP_A=10.1.1.1 IP_BA=10.1.1.2 IP_BC=10.1.2.1 IP_C=10.1.2.2 IP_BD=10.1.3.1 IP_D=10.1.3.2
net_link A a0 $IP_A/24 B b0 $IP_BA/24
net_link B b1 $IP_BC/24 C c0 $IP_C/24
net_wire B b2 $IP_BD/24 D d0 $IP_D/24
node_new A a0
node_new B b0 b1 b2
node_new C c0
node_new D d0
for t in "A b B $IP_BA" "B a A $IP_A" "B c C $IP_C" "C b B $IP_BC" "B d D $IP_D" "D b B $IP_BD"; do
	read -r at name to ip <<<"$t"
	node_peer "$at" "$name" "$to" "$ip:7780" mode=reliable
done
node_start A B C D
wait_for 20 "all transports up" chain_up
wait_for 20 "transport to D up" tp_up B d
chain_rules >/dev/null
chain_edges
expect "ping" chain_ping
sk D rule add consume id=311 in=b --static
sk B rule add intermediary id=211 next=311 transport=d in=a --static
sk B rule add intermediary id=212 next=112 transport=a in=d --static
sk A rule add consume id=112 in=b --static
sk A rule add forward id=111 next=211 transport=b --static
sk D rule add forward id=312 next=212 transport=b --static
sk A edge add sky1 address=10.8.0.1/24
sk D edge add sky1 address=10.8.0.2/24
sk A edge attach sky1 forward=111 consume=112
sk D edge attach sky1 forward=312 consume=311
expect "ping to D" in_ns A ping -n -q -c 2 -i 0.2 -W 5 10.8.0.2
in_ns W nft -f - <<-END
	table netdev narrow {
		chain in {
			type filter hook ingress device "wb2" priority 0;
			udp dport 7780 limit rate over 400 kbytes/second burst 40 kbytes counter drop
		}
	}
END

# far more than fits, by UDP
in_ns D iperf3 -s -1 >"$T/iperf-s.log" 2>&1 &
server=$!
wait_for 5 "iperf3" in_ns D bash -c 'ss -ltn | grep -q :5201'
in_ns A iperf3 -c 10.8.0.2 -u -b 20M -l 1000 -t 6 -J >"$T/iperf.json" &
client=$!
paused() { [ "$(counter B routes_paused)" -gt 0 ]; }
wait_for 5 "the route to D is paused at B" paused
queued() { [ "$(tp B d queued)" -gt 32768 ] && [ "$(tp B d queued_packets)" -gt 32 ]; }
wait_for 5 "what waits for D is shown" queued
same "of that flow" "$(sk B -j show flows d | jq 'length == 1 and .[0].queued > 0')" true
same "queued towards C" "$(($(tp B c queued) < 32768))" 1
# the other route meanwhile
in_ns A ping -n -q -c 100 -i 0.02 -W 5 10.9.0.2 >"$T/ping.log"
say "$(tail -n 1 "$T/ping.log")"
expect "100 of 100 answers: $(grep received "$T/ping.log")" grep -q ' 100 received' "$T/ping.log"
wait $client || true
wait $server || true
say "$(jq -r '.end.sum | "\(.packets) packets, \(.lost_packets) did not reach the program"' "$T/iperf.json")"
waits=$(sk A -j show edges | jq '.[] | select(.name == "sky1") | .waits')
say "$(counter B routes_paused) pauses at B, $(counter A routes_paused) at A; the edge waited $waits times"
expect "the edge waited" test "$waits" -gt 0
rest() { [ "$(tp A b tx_packets) $(tp B d tx_packets)" = "$(tp B a rx_packets) $(tp D b rx_packets)" ]; }
wait_for 30 "all that was sent was received" rest
same "routes ended" "$(counter B routes_held routes_stalled)$(counter A routes_held routes_stalled)" 00
same "queued at last" "$(tp B d queued) $(tp B d queued_packets)" "0 0"
for n in A B D; do
	same "packets dropped at $n" "$(counter $n drop_seal_freed drop_route_ended drop_route_full drop_up_ring)" 0
	wait_for 10 "books of $n" books $n || books $n
done
expect "ping to D at last" in_ns A ping -n -q -c 2 -i 0.2 -W 5 10.8.0.2
logs_clean A B C D
nodes_end A B C D
