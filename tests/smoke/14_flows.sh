#!/bin/bash
# Transports of several flows: four between A and B, two between B and C, who wants no more. Routes on
# several of them go through B while its processes die one after the other, and find their flows again
# when C wants only one.
#
#   [A] ==== [B] == [C]
. "$(dirname "$0")/_init.sh"

NODE_WORKERS=2
chain_net 4
chain_nodes flows=4
sed -i 's/^flows = 4/flows = 2/' "$T/C/controlplane.ini"
node_start A B C

# flow_of ID N: on which a route with that id travels
flow_of() { echo $((1 + ($1 * 2654435761 % 4294967296 >> 16) % $2)); }
# flow NODE TRANSPORT NR FIELD
flow() {
	sk "$1" -j show flows |
		jq -r --arg t "$2" --argjson f "$3" ".[] | select(.name == \$t and .flow == \$f) | .$4"
}
# flows_up NODE TRANSPORT N: so many, and all of them up
flows_up() {
	tp_up "$1" "$2" && [ "$(tp "$1" "$2" flows)" = "$3" ] &&
		[ "$(sk "$1" -j show flows | jq --arg t "$2" '[.[] | select(.name == $t and .state == "up")] | length')" = "$3" ]
}
all_up() { flows_up A b 4 && flows_up B a 4 && flows_up B c "$1" && flows_up C b "$1"; }
wait_for 20 "all flows up" all_up 2

# six routes each way: edge I has ids that end in I
ROUTES=(1 2 3 4 5 6)
for i in "${ROUTES[@]}"; do
	sk B rule add intermediary "id=21$i" "next=31$i" transport=c in=a --static >/dev/null
	sk B rule add intermediary "id=22$i" "next=12$i" transport=a in=c --static >/dev/null
	sk C rule add consume "id=31$i" in=b --static >/dev/null
	sk A rule add consume "id=12$i" in=b --static >/dev/null
	sk C rule add forward "id=32$i" "next=22$i" transport=b --static >/dev/null
	sk A rule add forward "id=11$i" "next=21$i" transport=b --static >/dev/null
	sk A edge add "sky$i" "address=10.9.$i.1/24" >/dev/null
	sk C edge add "sky$i" "address=10.9.$i.2/24" >/dev/null
	sk A edge attach "sky$i" "forward=11$i" "consume=12$i"
	sk C edge attach "sky$i" "forward=32$i" "consume=31$i"
done
pings() {
	for i in "${ROUTES[@]}"; do in_ns A ping -n -q -c 2 -i 0.2 -W 5 "$@" "10.9.$i.2" >/dev/null || return; done
}
no_strays() {
	for n in A B C; do same "packets on a wrong flow at $n" "$(counter "$n" drop_flow)" 0; done
}
expect "ping on every route" pings

# each went by its own flow
declare -A wanted=()
for i in "${ROUTES[@]}"; do wanted[$(flow_of "21$i" 4)]=1; done
expect "routes on several flows" test ${#wanted[@]} -ge 3
for f in 1 2 3 4; do
	n=$(flow B a "$f" rx_packets)
	if [ -n "${wanted[$f]:-}" ]; then
		expect "packets on flow $f" test "$n" -ge 2
	elif [ "$f" != 1 ]; then
		same "packets on flow $f, which no route has" "$n" 0
	fi
	same "port of flow $f" "$(flow B a "$f" local_port)" $((7779 + f))
done
same "sum of the flows" "$(sk B -j show flows | jq '[.[] | select(.name == "a") | .rx_packets] | add')" \
	"$(tp B a rx_packets)"
expect "flows on both workers" test \
	"$(sk B -j show flows | jq '[.[] | select(.name == "a") | .owner] | unique | length')" = 2
no_strays
same "least MTU of the flows" "$(sk B -j show flows | jq '[.[] | select(.name == "a") | .mtu] | min')" "$(tp B a mtu)"

# one flow goes to another worker, then all do
owners() { sk B -j show flows | jq -c '[.[] | select(.name == "a") | .owner]'; }
sk B transport move a worker=1
same "owners" "$(owners)" "[1,0,1,0]"
sk B transport move a flow=2 worker=1
same "owners" "$(owners)" "[1,1,1,0]"
expect "ping" pings
! sk B transport move a flow=5 worker=0 2>"$T/refused" || fail "flow 5 of 4 moved"
expect "said why" grep -q "'a' has no flow 5" "$T/refused"
sk B worker rebalance over=200ms >"$T/idle"
expect "no traffic" grep -q "no traffic: nothing to move" "$T/idle"
sk B transport move a worker=0
same "owners" "$(owners)" "[0,1,0,1]"
expect "ping" pings
no_strays

node_kill B.cp KILL || true
expect "ping without B's control plane" pings
cp_start B
wait_for 10 "all flows adopted" all_up 2
grep -q "transport a: taken over from the data plane, flows=4 up" "$T/B/controlplane.log" || fail "not adopted"
expect "ping" pings
no_strays

node_kill B.dp KILL || true
dp_start B
wait_for 60 "all flows again" all_up 2
for i in "${ROUTES[@]}"; do
	wait_for 20 "ping on route $i" in_ns A ping -n -q -c 1 -W 5 "10.9.$i.2"
done
no_strays

# C wants one flow: the link begins anew, and what is aimed at its flows follows
node_kill C.cp TERM || fail "control plane of C ended with $?"
sed -i 's/^flows = 2/flows = 1/' "$T/C/controlplane.ini"
cp_start C
wait_for 20 "one flow between B and C" all_up 1
for i in "${ROUTES[@]}"; do
	wait_for 20 "ping on route $i" in_ns A ping -n -q -c 1 -W 5 "10.9.$i.2"
done
no_strays
for n in A B C; do wait_for 5 "books of $n" books "$n"; done
nodes_end A B C
