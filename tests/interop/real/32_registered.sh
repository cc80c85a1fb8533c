#!/bin/bash
# Stcp transports between visors and our node at the real transport discovery: the real route finder knows the way
# over us, once we are the one who answers and once the one who dials; an entry that is removed behind our back is back.
#
#   [V] visor, dials ---- [N: our node] ---- dials [X] visor       [D: services, PostgreSQL, redis, S: our dmsg server]
. "$(dirname "$0")/_init.sh" redis-server dmsg-discovery skywire-visor skywire-cli transport-discovery address-resolver \
	route-finder psql

ASK=$SKYRAIL_BIN/tests/interop/ask
[ -x "$ASK" ] || { echo "$ASK is not built: make interop does" >&2 && exit 1; }
real_net D=10 S=1 N=101 V=121 X=122
real_discovery
real_postgres
real_services_stored
own_server S
node_start S
own_node N
for n in V X; do real_key $n; done
visor_conf V ".[\"skywire-tcp\"].pk_table = {\"${PK[N]}\": \"${ADDR[N]}:7777\"}"
visor_conf X
node_conf N controlplane stcp "listen=${ADDR[N]}:7777"
node_conf N controlplane transports "discovery=$TPD"
node_conf N controlplane routing "route_finder=$FINDER"
node_conf N controlplane "transport v" "peer=${PK[V]}" type=stcp dial=no
node_conf N controlplane "transport x" "peer=${PK[X]}" type=stcp "address=${ADDR[X]}:7777"
visor_start V X
node_start N

say "a visor dials us, and we another"
visor_tp_add V stcp "${PK[N]}" >"$T/id" || fail "no transport of V: $(visor V tp add -f -t stcp "${PK[N]}" 2>&1 | tail -n2)"
wait_for 10 "it is up" tp_up N v
wait_for 40 "that to X" tp_up N x
# null: there is none at all
of() { get "$TPD/all-transports" | jq --arg k "${PK[$1]}" '[. // [] | .[] | select(.type == "stcp" and any(.edges[]; . == $k))] | length'; }
has() { [ "$(of "$1")" = "$2" ]; }
wait_for 10 "both at the discovery" has N 2

say "removed behind our back, with our nonces"
for n in V X; do in_ns N "$ASK" "$T/N/node.key" delete "$TPD" "$T/$n/key" stcp >/dev/null || fail "not removed"; done
same "what is left" "$(of N)" 0
wait_for 20 "both at the discovery again" has N 2
listed() { [ "$(sk N -j show services | jq -r '.[0] | "\(.up) \(.registered)"')" = "2 2" ]; }
wait_for 20 "we know it" listed

say "the way over us"
over_us() {
	sk N -j route find "${PK[X]}" "from=${PK[V]}" min-hops=2 2>"$T/find.log" |
		jq -e --arg n "${PK[N]}" '[.[] | select(.path == 1 and .hop == 1) | .to] == [$n, $n]' >/dev/null
}
wait_for 10 "both directions" over_us
logs_clean N
nodes_end N S
wait_for 10 "the end of both" has N 0
real_clean
row "visor, by stcp | ours, registered | visor, by stcp"
