#!/bin/bash
# Stcpr transports between our nodes, by an address resolver in Go: who listens is bound there and found; one that moved is
# found at its new port, one that ended is not known any more. Of private addresses nobody is told.
#
#   [N: our node] --- dials ---> [M: our node]       [gx: services in Go]
. "$(dirname "$0")/_init.sh"

ASK=$SKYRAIL_BIN/tests/interop/ask
[ -x "$ASK" ] || { echo "$ASK is not built: make interop does" >&2 && exit 1; }
NET=198.51.100
peers_net gx N M
go_start gx services "${IP[gx]}:9091"
URL=http://${IP[gx]}:9091
for n in N M; do
	own_node $n
	node_conf $n controlplane transports "address_resolver=$URL" "discovery=$URL"
done
node_conf M controlplane stcpr listen=0.0.0.0:7773
node_peer M n N type=stcpr dial=no
node_peer N m M type=stcpr

# where NODE: as the resolver tells it
where() { ip netns exec N "$ASK" "$T/N/node.key" resolve "$URL" "${PK[$1]}"; }
is_at() { [ "$(where "$1")" = "200 $2" ]; }
unknown() { [ "$(where "$1" | cut -d' ' -f1)" = 404 ]; }
why() { sk N show transports | grep -q "$1"; }

say "who listens is found"
node_start N M
wait_for 10 "M is bound" is_at M "${IP[M]}:7773"
expect "N, which does not listen, is not" unknown N
wait_for 60 "a transport" tp_up N m
wait_for 5 "at the other end" tp_up M n
same "transport ids of both ends" "$(tp N m tp_id)" "$(tp M n tp_id)"
same "types" "$(tp N m type) $(tp M n type)" "stcpr stcpr"
same "the entry" "$(ip netns exec N "$ASK" "$T/N/node.key" find "$URL" "$T/M/node.key" stcpr | cut -d' ' -f1)" 200

say "it moves to another port"
node_kill M.cp TERM || fail "control plane of M ended with $?"
expect "M has said so" unknown M
wait_for 30 "N asks, and hears that" why "the address resolver does not know this peer"
sed -i 's/0.0.0.0:7773/0.0.0.0:7774/' "$T/M/controlplane.ini"
cp_start M
wait_for 10 "M is bound" is_at M "${IP[M]}:7774"
wait_for 90 "the transport is back" tp_up N m

say "private addresses"
node_kill M.cp TERM || fail "control plane of M ended with $?"
sed -i 's/0.0.0.0:7774/10.1.0.3:7774/' "$T/M/controlplane.ini"
ip -n M addr add 10.1.0.3/24 dev e0
cp_start M
warned() { grep -q "no interface has a public address" "$T/M/controlplane.log"; }
wait_for 10 "M says that nobody finds it" warned
expect "it is not bound" unknown M
logs_clean N
nodes_end N M
peers_end gx
