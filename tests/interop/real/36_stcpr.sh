#!/bin/bash
# Stcpr transports between visors and our node, by the real address resolver: a visor finds us there and dials, again and
# again, and we find and dial a visor, which goes on taking others'; a node that ended is not known any more.
#
#   [V] visor, dials ---- [N: our node] ---- dials [X] visor       [D: services, S: our dmsg server]
. "$(dirname "$0")/_init.sh" redis-server dmsg-discovery skywire-visor skywire-cli transport-discovery address-resolver

ASK=$SKYRAIL_BIN/tests/interop/ask
[ -x "$ASK" ] || { echo "$ASK is not built: make interop does" >&2 && exit 1; }
real_net D=10 S=1 N=101 V=121 X=122
real_discovery
real_services
own_server_up S
own_node N
for n in V X; do real_key $n && visor_conf $n; done
node_conf N controlplane transports "discovery=$TPD" "address_resolver=$RESOLVER"
node_conf N controlplane stcpr "listen=0.0.0.0:7773"
node_conf N controlplane "peer v" "key=${PK[V]}"
node_conf N controlplane "transport x" "peer=${PK[X]}" type=stcpr
visor_start V X
node_start N
for n in V X; do wait_for 90 "$n at the server" delegated "${PK[$n]}" "$SERVER"; done
resolved() { ip netns exec N "$ASK" "$T/V/key" resolve "$RESOLVER" "${PK[N]}"; }
is_bound() { [ "$(resolved)" = "200 ${ADDR[N]}:7773" ]; }
wait_for 20 "our node at the resolver" is_bound

say "a visor makes one to us, three times"
visor_comes V N stcpr
row "visor, by stcpr | ours, bound | itself"

say "we make one to a visor, which ends it"
visor_ends X N x
expect "X takes others'" visor_tp V stcpr "${PK[X]}"
row "ours, by stcpr | real resolver | visor"
logs_clean N
nodes_end N S
unbound() { [ "$(resolved | cut -d' ' -f1)" = 404 ]; }
wait_for 10 "the binding's end" unbound
real_clean
