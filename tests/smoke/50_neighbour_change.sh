#!/bin/bash
# C's interface gets another MAC address and tells so by ARP; B's frames follow. Frames to the old
# address are dropped on their way, as a switch would.
#
#   [A] a0 ---- b0 [B] b1 ---- c0 [C, MAC changes]
. "$(dirname "$0")/_init.sh"

chain_net 4
in_ns C sh -c 'echo 1 >/proc/sys/net/ipv4/conf/c0/arp_notify'
chain_nodes
node_start A B C
wait_for 20 "all transports up" chain_up
chain_rules
chain_edges
expect "ping" chain_ping

old=$(ip -n C -j link show c0 | jq -r '.[0].address')
new=02:00:00:00:0c:0c
known() { sk B -j show neighbours | jq -e --arg m "$1" 'any(.[]; .mac == $m and .usable)'; }
expect "old address known" known "$old"
in_ns B nft -f - <<END || { say "no nftables with an egress hook" && exit 125; }
table netdev t {
	chain c {
		type filter hook egress device "b1" priority 0;
		ether daddr $old counter drop
	}
}
END
ip -n C link set c0 address $new
wait_for 10 "new address known" known $new
wait_for 10 "ping" chain_ping -c 1
expect "ping" chain_ping
expect "both processes live" alive B.dp

nodes_end A B C
