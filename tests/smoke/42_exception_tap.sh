#!/bin/bash
# A port behind which no kernel stands, as a NIC that is bound to DPDK: the kernel of B hears and says all
# but our datagrams through a TAP. It answers ARP, ping and TCP there while routes carry as much as goes, and
# its own traffic costs them nothing.
#
#   [A] a0 ---- b0, deaf to the kernel [B] sk-p0
. "$(dirname "$0")/_init.sh"

net_add A B
net_link A a0 10.1.1.1/24 B b0 ""
ip -n B link set b0 addrgenmode none
in_ns B nft -f - <<-END
	table netdev bound {
		chain in {
			type filter hook ingress device "b0" priority -500;
			counter drop
		}
	}
END
# what a wire carries is whole: no super-packets, no checksums that are still to be made
in_ns A ethtool -K a0 tx off tso off gso off >/dev/null
node_new A a0
node_new B b0
sed -i 's/^device = .*/&\nexception = tap/' "$T/B/dataplane.ini"
node_peer A b B 10.1.1.2:7780
node_peer B a A 10.1.1.1:7780
dp_start B
net_up B sk-p0 10.1.1.2/24,10.1.1.3/24
cp_start B
node_start A
up() { tp_up A b && tp_up B a; }
wait_for 20 "transport" up
same "where frames that are not ours go" "$(sk B -j show ports p0 | jq -r '.[0] | "\(.exception) \(.kernel_if)"')" "tap sk-p0"
expect "ping to the kernel behind the TAP" in_ns A ping -n -q -c 2 -i 0.2 -W 2 10.1.1.2
expect "ping from there" in_ns B ping -n -q -c 2 -i 0.2 -W 2 10.1.1.1

pair_edges
expect "ping by rail" chain_ping

# TCP by rail, as fast as it goes, while the kernels talk
in_ns B iperf3 -s -1 -p 5201 >"$T/rail-s.log" 2>&1 &
servers=($!)
in_ns B iperf3 -s -1 -p 5202 >"$T/kernel-s.log" 2>&1 &
servers+=($!)
wait_for 5 "iperf3" in_ns B bash -c 'ss -ltn | grep -q :5201 && ss -ltn | grep -q :5202'
in_ns A iperf3 -c 10.9.0.2 -p 5201 -t 6 -J >"$T/rail.json" &
load=$!
busy() { [ "$(tp A b tx_packets)" -gt 200 ]; }
wait_for 5 "load" busy
before=$(tp A b tx_packets)
kernel=$(counter B to_kernel)
# each with an ARP request of its own: for another address than the one that datagrams go to
for _ in 1 2 3 4 5 6 7 8 9 10; do
	in_ns A ip neigh flush dev a0 to 10.1.1.3
	in_ns A ping -n -q -c 1 -W 2 10.1.1.3 >>"$T/ping.log" || fail "ping under load: $(tail -n 3 "$T/ping.log")"
done
in_ns A ping -n -q -c 40 -i 0.02 -W 2 10.1.1.2 >"$T/pings.log" || true
expect "40 of 40 answers: $(grep received "$T/pings.log")" grep -q ' 40 received' "$T/pings.log"
in_ns A timeout 20 iperf3 -c 10.1.1.3 -p 5202 -n 20M -J >"$T/kernel.json" || fail "TCP to the kernel: $(tail -n 3 "$T/kernel.json")"
same "bytes by TCP to the kernel" "$(jq -c "[.error, .end.sum_sent.bytes >= 20000000, .end.sum_received.bytes > 10000000]" "$T/kernel.json")" "[null,true,true]"
expect "routes carried on" test "$(tp A b tx_packets)" -gt $((before + 200))
wait $load || fail "TCP by rail: $(tail -n 3 "$T/rail.json")"
wait "${servers[@]}" || true
say "$(jq -r '.end.sum_received | "by rail \(.bits_per_second / 1e6 | floor) Mbit/s"' "$T/rail.json"), $(
	jq -r '.end.sum_received | "by the TAP \(.bits_per_second / 1e6 | floor) Mbit/s"' "$T/kernel.json"), ping $(
	sed -n 's/.*= //p' "$T/pings.log")"

expect "the kernel had its frames by the TAP" test "$(counter B to_kernel)" -gt $((kernel + 10000))
same "frames without a way to the kernel" "$(counter B drop_exception)" 0
same "routes that ended" "$(counter B routes_held routes_stalled)$(counter A routes_held routes_stalled)" 00
expect "ping by rail at last" chain_ping
for n in A B; do
	wait_for 10 "books of $n" books $n || books $n
done
logs_clean A B
nodes_end A B
