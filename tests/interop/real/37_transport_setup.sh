#!/bin/bash
# Transport set-up with real programs: our node has a visor make, tell of and remove transports to another one, which goes on
# taking others'; a visor that does not name it hangs up; and the real set-up service has ours do so.
#
#   [N: our node] asks ---- [V] visor ---- [X] visor       [D: services, S: our dmsg server]
#                 [T: transport-setup] asks N
. "$(dirname "$0")/_init.sh" redis-server dmsg-discovery skywire-visor skywire-cli transport-discovery address-resolver

real_net D=10 S=1 T=20 N=101 V=121 X=122
real_discovery
real_services
own_server_up S
own_node N
own_knows N "$SERVER" S
real_key T
node_conf N controlplane dmsg "discovery=$DISC"
node_conf N controlplane transports "discovery=$TPD" "address_resolver=$RESOLVER"
node_conf N controlplane "transport_setup t" "key=${PK[T]}"
visor_conf V ".transport.transport_setup = [\"${PK[N]}\"]"
visor_conf X
visor_start V X
node_start N
for n in V X N; do wait_for 90 "$n at the server" delegated "${PK[$n]}" "$SERVER"; done
ask() { sk N -j transport "$1" "on=${PK[V]}" "${@:2}" 2>"$T/no"; }
types() { ask list | jq -r '[.[].type] | sort | join(" ")'; }
at() { visor "$1" tp ls --json | jq -r '[.output[].id] | join(" ")'; }

say "our node asks a visor"
# before its transports are ready the visor has no listener
told() { ask list >/dev/null; }
wait_for 30 "an answer" told
same "nothing yet" "$(types)" ""
for type in dmsg stcpr; do
	ask add "peer=${PK[X]}" "type=$type" >"$T/one" || fail "no $type transport: $(cat "$T/no")"
	same "of whom" "$(jq -r '.[0] | "\(.local) \(.remote) \(.type)"' "$T/one")" "${PK[V]} ${PK[X]} $type"
	expect "the visor has it" grep -q "$(jq -r '.[0].tp_id' "$T/one")" <<<"$(at V)"
	expect "and the other" grep -q "$(jq -r '.[0].tp_id' "$T/one")" <<<"$(at X)"
done
same "both are told" "$(types)" "dmsg stcpr"
if ask add "peer=${PK[X]}" type=warp >/dev/null; then fail "a type that is none"; fi
expect "its words" grep -q "unknown network type" "$T/no"
for id in $(ask list | jq -r '.[].tp_id'); do ask del "id=$id" || fail "not removed: $(cat "$T/no")"; done
same "none is told" "$(types)" ""
if ask del id=1d60fbdd-a0fc-0a64-85c6-f155e43f3465; then fail "one that is not there"; fi
expect "its words" grep -q "transport not found" "$T/no"
if sk N transport list "on=${PK[X]}" 2>"$T/no"; then fail "X does not name our node"; fi
expect "why not" grep -q "is this node's key in a .transport_setup NAME. of its configuration" "$T/no"
sleep 3 # a visor keeps what was closed for a while
expect "V makes others'" visor_tp V dmsg "${PK[X]}"
row "ours asks for transports | real | visor, by dmsg and stcpr"

if have transport-setup "the real service asks ours"; then
	say "the real service asks ours"
	jq -n --arg pk "${PK[T]}" --arg sk "${SK[T]}" --arg disc "$DISC" '{public_key: $pk, secret_key: $sk, port: 8080,
		dmsg: {discovery: $disc, servers: [], sessions_count: 1}}' >"$T/T/config.json"
	real_run T T transport-setup -c config.json
	by_t() { in_ns T timeout 60 "$SKYWIRE_BIN/transport-setup" "$@" -z http://127.0.0.1:8080; }
	answers() { by_t list -1 "${PK[N]}" | jq -e 'type == "array"' >/dev/null; }
	wait_for 30 "its first answer" answers
	by_t add -1 "${PK[N]}" -2 "${PK[X]}" -t dmsg >"$T/one"
	id=$(jq -er .ID "$T/one") || fail "no transport: $(cat "$T/one")"
	same "of whom" "$(jq -r '"\(.Local) \(.Remote) \(.Type)"' "$T/one")" "${PK[N]} ${PK[X]} dmsg"
	same "at ours" "$(sk N -j show transports | jq -r '.[] | "\(.tp_id) \(.state) \(.origin)"')" "$id up asked"
	by_t add -1 "${PK[N]}" -2 "${PK[X]}" -t stcpr >"$T/one"
	jq -er .ID "$T/one" >/dev/null || fail "no stcpr transport: $(cat "$T/one")"
	same "told" "$(by_t list -1 "${PK[N]}" | jq -r '[.[].Type] | sort | join(" ")')" "dmsg stcpr"
	if by_t add -1 "${PK[N]}" -2 "${PK[X]}" -t sudph 2>/dev/null; then fail "a type that ours has not"; fi
	expect "our words" grep -q "unknown network type" "$T/T/T.log"
	same "removed" "$(by_t rm -1 "${PK[N]}" -i "$id" | jq -r .Result)" true
	same "told" "$(by_t list -1 "${PK[N]}" | jq -r '[.[].Type] | join(" ")')" stcpr
	sleep 3
	expect "X takes others'" visor_tp V dmsg "${PK[X]}"
	row "transport-setup asks for transports | ours | visor, by dmsg and stcpr"
fi
logs_clean N
nodes_end N S
real_clean
