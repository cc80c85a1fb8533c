#!/bin/bash
# Paths that carry less than their ends do, and do not say so (no ICMP): the size is found, shown, and
# found again when it changes in mid-run. One that carries less than 1280 bytes is refused in words.
#
#   [A] a0 -1500- |1400| -1500- b0 [B] b1 -9000- |9000, then 1500| -9000- c0 [C]
. "$(dirname "$0")/_init.sh"

mtu_is() { [ "$(tp "$1" "$2" mtu)" = "$3" ] && [ "$(tp "$1" "$2" mtu_state)" = "$4" ]; }

net_add A B C W
IP_A=10.1.1.1 IP_BA=10.1.1.2 IP_BC=10.1.2.1 IP_C=10.1.2.2
net_wire A a0 $IP_A/24 B b0 $IP_BA/24
net_wire B b1 $IP_BC/24 C c0 $IP_C/24
ip -n B link set b1 mtu 9000
ip -n C link set c0 mtu 9000
for i in b1 c0; do ip -n W link set w$i mtu 9000; done
wire_carries a0 b0 1400
wire_carries b1 c0 9000
chain_nodes "mode=${MODE:-reliable}"
# this end knows it, and has its own congestion control
sed -i '/^\[transport b\]/a path_mtu = 8000\ncongestion = cubic' "$T/C/controlplane.ini"
node_start A B C
wait_for 20 "all transports up" chain_up
wait_for 30 "A: 1400" mtu_is A b 1400 complete
wait_for 30 "B to A: 1400" mtu_is B a 1400 complete
wait_for 30 "B to C: 9000" mtu_is B c 9000 complete
wait_for 30 "C: 8000, fixed" mtu_is C b 8000 fixed
say "A: $(tp A b mtu_probes) probes, $(tp A b mtu_acked) answered, $(tp A b mtu_lost) lost; B to C: $(tp B c mtu_probes), $(tp B c mtu_acked), $(tp B c mtu_lost)"
same "probes of one that is fixed" "$(tp C b mtu_probes)" 0
if [ "${MODE:-reliable}" = reliable ]; then
	same "congestion control" "$(tp B c congestion) $(tp C b congestion)" "bbr cubic"
else
	same "congestion control" "$(tp C b congestion)" null
fi
chain_rules >/dev/null
chain_edges 9000
for s in 56 1300 1340 1372 1373 1400 1472 4000 8900; do
	chain_ping -c 2 -s "$s" -M "do" || fail "ping with $s bytes"
done
same "black holes" "$(tp A b black_holes)$(tp B a black_holes)$(tp B c black_holes)" 000

# another link, which looks for itself
sed -i '/^path_mtu = 8000/d' "$T/C/controlplane.ini"
sk C config reload >/dev/null
wait_for 30 "C: 9000" mtu_is C b 9000 complete
wait_for 20 "all transports up" chain_up
wait_for 10 "ping" chain_ping

say "B to C carries 1500 from now on"
in_ns A ping -n -q -i 0.02 -c 1500 -s 4000 -W 5 10.9.0.2 >"$T/ping.log" &
pings=$!
sleep 2
wire_carries b1 c0 1500
wait_for 60 "B to C: 1500" mtu_is B c 1500 complete
same "black holes seen by B" "$(tp B c black_holes)" 1
same "... by A" "$(tp A b black_holes)" 0
wait $pings || true
say "$(grep loss "$T/ping.log")"
wait_for 60 "C: 1500" mtu_is C b 1500 complete
for s in 56 1400 1472 4000 8900; do
	wait_for 10 "ping with $s bytes" chain_ping -c 2 -s "$s" -M "do"
done
for n in A B C; do wait_for 5 "books of $n" books $n || books $n; done
logs_clean A B C

say "A to B carries 1200 from now on"
wire_carries a0 b0 1200
in_ns A ping -n -q -i 0.1 -c 900 -s 1300 -W 1 10.9.0.2 >"$T/ping2.log" &
pings=$!
refused() { tp A b note | grep -q "less than 1280 bytes"; }
wait_for 90 "refused in words" refused
say "A: $(tp A b note); B: $(tp B a note)"
expect "in the log" grep -q "less than 1280 bytes" "$T/A/controlplane.log"
kill $pings 2>/dev/null || true
wait $pings || true
nodes_end A B C
