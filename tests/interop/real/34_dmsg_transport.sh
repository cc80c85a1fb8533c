#!/bin/bash
# Transports over dmsg between visors and our node: a visor makes one to us, again and again, and we make one to a visor,
# which lives through what ends it and goes on taking others'.
#
#   [V] visor, dials ---- [N: our node] ---- dials [X] visor       [S: our dmsg server]    [D: services]
. "$(dirname "$0")/_init.sh" redis-server dmsg-discovery skywire-visor skywire-cli transport-discovery address-resolver

real_net D=10 S=1 N=101 V=121 X=122
real_discovery
real_services
own_server_up S
own_node N
own_knows N "$SERVER" S
for n in V X; do real_key $n && visor_conf $n; done
node_conf N controlplane dmsg "discovery=$DISC"
node_conf N controlplane transports "discovery=$TPD"
node_conf N controlplane "peer v" "key=${PK[V]}"
node_conf N controlplane "transport x" "peer=${PK[X]}" type=dmsg
visor_start V X
node_start N
for n in V X N; do wait_for 90 "$n at the server" delegated "${PK[$n]}" "$SERVER"; done

say "a visor makes one to us, three times"
listed() { get "$TPD/all-transports" | jq -e --arg id "$1" 'any(.[]; .t_id == $id)' >/dev/null; }
visor_comes V N dmsg listed
row "visor | ours, registered | ours, by dmsg transport"

say "we make one to a visor, which ends it"
visor_ends X N x

say "our control plane is killed"
node_kill N.cp KILL || true
cp_start N
wait_for 90 "it is back" tp_up N x
expect "X takes others'" visor_tp V dmsg "${PK[X]}"
row "ours, by dmsg transport | ours, registered | visor"
logs_clean N
nodes_end N S
real_clean
