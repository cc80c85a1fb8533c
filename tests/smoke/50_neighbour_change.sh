#!/bin/bash
# The next hop of B towards C gets another MAC address and tells so by ARP; then the route goes by
# another address. B's frames follow both.
#
#   [A] a0 ---- b0 [B] b1 ---- r0 [R, a router, the kernel's] r1 ---- c0 [C]
. "$(dirname "$0")/_init.sh"

net_add A B R C
net_link A a0 10.1.1.1/24 B b0 10.1.1.2/24
net_link B b1 10.1.2.1/24 R r0 10.1.2.254/24,10.1.2.253/24
net_link R r1 10.1.3.254/24 C c0 10.1.3.2/24
in_ns R sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv4/conf/r0/arp_notify'
ip -n B route add 10.1.3.0/24 via 10.1.2.254
ip -n C route add 10.1.2.0/24 via 10.1.3.254
IP_A=10.1.1.1 IP_BA=10.1.1.2 IP_BC=10.1.2.1 IP_C=10.1.3.2
chain_nodes
chain_start

# next_hop ADDRESS MAC: what B sends to C by
next_hop() { sk B -j show neighbours | jq -e --arg a "$1" --arg m "$2" 'any(.[]; .dst == "10.1.3.2" and .next_hop == $a and .mac == $m and .usable)'; }
mac=$(ip -n R -j link show r0 | jq -r '.[0].address')
expect "router known" next_hop 10.1.2.254 "$mac" >/dev/null
ip -n R link set r0 address 02:00:00:00:0c:0c
wait_for 10 "new MAC known" next_hop 10.1.2.254 02:00:00:00:0c:0c
wait_for 10 "ping" chain_ping -c 1
say "frames go to the new MAC"

ip -n B route replace 10.1.3.0/24 via 10.1.2.253
wait_for 10 "new route known" next_hop 10.1.2.253 02:00:00:00:0c:0c
wait_for 10 "ping" chain_ping -c 1
say "frames go by the new route"

# taken out of the kernel's table, again and again, while packets go by it
chain_ping -c 1000 -i 0.003 -q >"$T/ping" &
pinger=$!
for _ in 1 2 3 4 5 6; do
	ip -n B neigh flush dev b1
	sleep 0.3
done
wait $pinger
say "$(tail -3 "$T/ping" | tr '\n' ';')"
expect "nothing lost" grep -q " 0% packet loss" "$T/ping"
wait_for 5 "books" books B
nodes_end A B C
