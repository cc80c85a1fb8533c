#!/bin/bash
# Packets of route groups are as long as the path of their first link carries: found before and while there is a
# group, a whole datagram each in datagram mode, and less again when the path becomes narrower in mid-stream.
#
#   [A] -1500- |1400, then 1300| -1500- [B: bench service on port 5] -1500- |1400| -1500- [C]
#       reliable                                                          datagram
#   all are clients of [S: dmsg server, set-up node]
. "$(dirname "$0")/_init.sh"

# IPv6 and UDP 48, rail's header and tag 32, a number 8, a part's header 16, a route packet's header 7
AROUND=$((48 + 32 + 8 + 16 + 7)) MOST=4096

net_add A B C W
IP_A=10.1.1.1 IP_BA=10.1.1.2 IP_BC=10.1.2.1 IP_C=10.1.2.2
net_wire A a0 $IP_A/24 B b0 $IP_BA/24
net_wire B b1 $IP_BC/24 C c0 $IP_C/24
wire_carries a0 b0 1400
wire_carries b1 c0 1400
chain_nodes
sed -i "/^\[transport c\]/a mode = datagram" "$T/B/controlplane.ini"
sed -i "/^\[transport b\]/a mode = datagram" "$T/C/controlplane.ini"
node_conf B controlplane routing bench_port=5
chain_dmsg S
chain_dmsg_start S

# group NODE FIELD: of the one that is open
group() { sk "$1" -j show groups | jq -r "[.[] | select(.state == \"open\")][0].$2"; }
payload_is() { [ "$(group "$1" payload_max)" = "$2" ]; }
head -c 3000000 /dev/urandom >"$T/data"
# sum NODE: the bytes through the group that is open, and B's checksum of them
sum() {
	local n of
	printf 'sum 3000000\n' >&9
	cat "$T/data" >&9
	read -r -t 60 n of <&8
	same "its checksum" "$n $of" "3000000 $(b2sum <"$T/data" | cut -d' ' -f1)"
}
# dial NODE: a stream to the bench service, 9 in and 8 out
dial() {
	mkfifo "$T/$1.in" "$T/$1.out"
	exec 9<>"$T/$1.in" 8<>"$T/$1.out"
	sk "$1" route dial "${PK[B]}:5" <"$T/$1.in" >"$T/$1.out" 8<&- 9<&- &
	dialler=$!
}
# packets NODE: how long those were that went, on average
packets() { echo $(($(group "$1" tx_bytes) / $(group "$1" tx_packets))); }

say "a reliable link: as many whole datagrams as a record has room for"
dial A
wide=$((MOST / (1400 - AROUND) * (1400 - AROUND)))
wait_for 30 "payloads of $wide" payload_is A $wide
sum
say "$(packets A) bytes a packet"

say "the path becomes narrower"
wire_carries a0 b0 1300
sum
narrow=$((MOST / (1300 - AROUND) * (1300 - AROUND)))
wait_for 60 "payloads of $narrow" payload_is A $narrow
sum
same "one stream for all" "$(group A tx_bytes)" $((3 * (3000000 + 12)))
same "black holes that A saw" "$(tp A b black_holes)" 1
kill "$dialler"
wait "$dialler" || true
rm "$T/A.in" "$T/A.out"

say "a link that may lose: one datagram each"
dial C
wait_for 30 "payloads of $((1400 - AROUND))" payload_is C $((1400 - AROUND))
parts=$(count C seal_parted)
head -c 200000 "$T/data" >"$T/few" # no window holds it back
printf 'sum 200000\n' >&9
cat "$T/few" >&9
read -r -t 60 n of <&8
same "its checksum" "$n $of" "200000 $(b2sum <"$T/few" | cut -d' ' -f1)"
same "packets in parts" "$(count C seal_parted)" "$parts"
expect "they are that long" test "$(packets C)" -gt 1200
kill "$dialler"
wait "$dialler" || true
logs_clean A B C
