#!/bin/bash
# Our node as the set-up node that is in the middle of the routes that it lays: for visors' groups, and for pings, which are
# routes that end where they began, over us once and twice. And a visor that has nothing but stcp in common with us dials us.
#
#   V - N - X     V - N - V     V - N - X - N - V       V, X: visors; N: ours, and the set-up node
. "$(dirname "$0")/_routes.sh"

routes_new
node_conf N controlplane setup_node enable=yes "key_file=$T/setup/key"
sed -i '/^\[stcpr\]/,+1d' "$T/N/controlplane.ini" # what a visor has not in common with us
routes_start
wait_for 60 "the set-up node at the server" delegated "${PK[setup]}" "${PK[R]}"

say "the set-up node is in the middle"
chain_do link stcp V N X
group_from V X || fail "no group from V to X"
expect "a page" group_get V
same "rules of the middle" "$(sk N -j show rules | jq -c 'map(.type)')" '["intermediary","intermediary"]'
group_end V
wait_for 20 "their end" no_rules N
group_from X V || fail "no group from X to V"
expect "a page, back" group_get X
group_end X
same "routes laid" "$(dmsg N setups_done)" 2
unlink_all
fit "the set-up node in the middle"
row "visor | ours, and the set-up node | visor"

# ping VISOR OTHER: there and back, over that one
ping() { visor "$1" visor ping "${PK[$2]}" >"$T/ping" 2>&1 && grep -q Latency "$T/ping"; }
say "a loop over us"
link stcp V N
before=$(dmsg N setups_done)
expect "a ping" ping V N
same "routes laid" "$(dmsg N setups_done)" $((before + 1))
say "$(cat "$T/ping")"
wait_for 60 "no rules" no_rules N

say "a loop over us twice"
link stcp N X
tp_id() { sk N -j show transports | jq -r --arg k "${PK[$1]}" '.[] | select(.peer == $k and .type == "stcp") | .tp_id'; }
real_end finder
mv "$T/finder/finder.log" "$T/finder/finder.before"
real_finder
wait_for 20 "a finder of ours" in_ns D bash -c "exec 3<>/dev/tcp/$DISC_IP/9092"
v=$(tp_id V) x=$(tp_id X)
echo "$v ${PK[V]} ${PK[N]} $x ${PK[N]} ${PK[X]} $x ${PK[X]} ${PK[N]} $v ${PK[N]} ${PK[V]}" >"$T/routes"
expect "a ping" ping V X
same "routes laid" "$(dmsg N setups_done)" $((before + 2))
say "$(cat "$T/ping")"
wait_for 60 "no rules" no_rules N
real_end finder
real_run finder D env PG_USER=postgres PG_DATABASE=skywire PG_PASSWORD= route-finder --addr "$DISC_IP:9092" --dmsg-disc "$DISC"
wait_for 20 "the route finder" get "$FINDER/health"
unlink_all
fit "loops"
row "visor, ping | ours, once and twice | itself"

say "a visor that has stcp alone in common with us"
visor_end V
routes_visor V X '.routing.min_hops = 0'
visor_back V
link stcp V N
accepted() { sk N -j show transports | jq -r --arg k "${PK[V]}" '[.[] | select(.peer == $k and .state == "up") | .type] | sort | join(" ")'; }
same "what there is" "$(accepted)" stcp
serve N
group_from V N || fail "no group from V to N: $(accepted)"
expect "a page" group_get V
same "it made one by dmsg before" "$(accepted)" "dmsg stcp"
group_end V
unlink_all
fit "stcp alone"
row "visor, by stcp alone | its own dmsg transport | ours"
logs_clean N M
nodes_end N M
