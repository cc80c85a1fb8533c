#!/bin/bash
# Edges that go away in the middle of a route: the other end hears of it, and all is as before when they are back. A visor
# that starts again begins again with the same local port. Then paths that are cut in silence (CUTS=N times): ours notices
# first, and the visor, which would take no more of its type if it was called before it has noticed, takes the next one.
#
#   X - V - N, N - V - X     V, X: visors; N, M: ours; V has the lowest of the keys, X the highest
. "$(dirname "$0")/_routes.sh" dmsg-server setup-node

# key_like NAME PATTERN
key_like() {
	mkdir -p "$T/$1"
	until [[ ${PK[$1]:-} =~ $2 ]]; do
		rm -f "$T/$1/key"
		real_key "$1"
		[[ ${PK[$1]} =~ $2 ]] || unset "SK[$1]"
	done
}
key_like V ^020[0-3]
key_like X ^03f[c-f]
routes_new
routes_setup real
routes_start
open_groups() { sk "$1" -j show groups | jq '[.[] | select(.state == "open" or .state == "closing")] | length'; }
has_open() { [ "$(open_groups "$1")" = "$2" ]; }
port_of() { sk "$1" -j show groups | jq -r '.[] | select(.state == "open") | .remote_port'; }
why() { sk "$1" -j show groups | jq -r '[.[] | select(.state == "ended")][0].reason'; }
node_kill_all() {
	node_kill "$1.cp" KILL || true
	node_kill "$1.dp" KILL || true
}

say "a real edge is killed and starts again, the other one is ours: X - V - N"
link stcp N V
link stcp X V
serve N
group_from X N || fail "no group from X to N: $(visor X rev -k "${PK[N]}" -r $WEB -p 9001 2>&1)"
expect "a page" group_get X
first=$(port_of N)
real_end X KILL
same "N has not heard of it" "$(open_groups N)" 1
visor_back X
sleep 3
link stcp X V
serve N
group_from X N || fail "no group from X to N again"
expect "a page again" group_get X
same "the same port" "$(port_of N)" "$first"
same "one is open" "$(open_groups N)" 1
group_end X
wait_for 20 "its end" has_open N 0
unlink_all
fit "a real edge starts again"
row "visor, killed and back | visor | ours"

say "a real edge is killed, ours has dialled: N - V - X"
link stcp N V
link stcp V X
fwd N get "${PK[X]}" $WEB $SOME min-hops=2 keep-alive=10s hold >"$T/held" 2>&1 &
held=$!
wait_for 30 "a page" grep -q "$SOME_SUM" "$T/held"
real_end X KILL
visor_back X
wait_for 40 "N's end of the group" has_open N 0
say "its reason: $(why N)"
expect "a reason" grep -q expired <<<"$(why N)"
wait $held || true
sleep 3
visor V tp rm -a >/dev/null || true
sleep 4
link stcp V X
wait_for 30 "stcp from N to V" tp_up N stcp-V
expect "a group again" group_to N X min-hops=2
unlink_all
fit "a real edge starts again, dialled by ours"
row "ours | visor | visor, killed and back"

say "our edge is killed and starts again: N - V - X"
link stcp N V
link stcp V X
fwd N get "${PK[X]}" $WEB $SOME min-hops=2 keep-alive=10s hold >"$T/held" 2>&1 &
held=$!
wait_for 30 "a page" grep -q "$SOME_SUM" "$T/held"
node_kill_all N
wait $held || true
node_start N
wait_for 60 "N at the server" delegated "${PK[N]}" "${PK[R]}"
sk N transport add stcp-V "peer=${PK[V]}" type=stcp "address=${ADDR[V]}:7777" >/dev/null
wait_for 60 "stcp from N to V" tp_up N stcp-V
wait_for 20 "stcp between N and V, registered" has_tps N V stcp 1
expect "a group again" group_to N X min-hops=2
unlink_all
fit "our edge starts again"
row "ours, killed and back | visor | visor"

# cut NODE VISOR...: nothing comes from one to the other any more, and nobody is told
cut() {
	local n v
	for n in "$@"; do in_ns "$n" nft 'table ip cut { chain in { type filter hook input priority 0; }; }'; done
	for v in "${@:2}"; do
		in_ns "$v" nft add rule ip cut in ip saddr "${ADDR[$1]}" drop
		in_ns "$1" nft add rule ip cut in ip saddr "${ADDR[$v]}" drop
	done
}
mend() { for n in "$@"; do in_ns "$n" nft delete table ip cut; done; }
cuts_seen() { count N carried_cut; }
# all STATE: of those of N
all() { sk N -j show transports | jq -e --arg s "$1" 'all(.state == $s) == true' >/dev/null; }
none_up() { sk N -j show transports | jq -e 'all(.state != "up")' >/dev/null; }
has_none() { [ "$(visor "$1" tp ls --json | jq '[.output // [] | .[] | select(.type != "dmsg")] | length')" = 0 ]; }

for ((i = 1; i <= ${CUTS:-2}; i++)); do
	say "cut $i: N's to V and X, $([ $((i % 2)) = 0 ] && echo idle || echo in use)"
	for t in stcp stcpr; do
		for v in V X; do link $t N $v; done
	done
	held=
	if [ $((i % 2)) = 1 ]; then
		link stcp V X
		fwd N get "${PK[X]}" $WEB $SOME min-hops=2 hold >"$T/held" 2>&1 &
		held=$!
		wait_for 30 "a page" grep -q "$SOME_SUM" "$T/held"
	fi
	before=$(cuts_seen)
	cut N V X
	wait_for 60 "N notices" none_up
	[ -z "$held" ] || wait $held || true
	same "ends by silence" "$(($(cuts_seen) - before))" 4
	sleep $((RANDOM % 10))
	mend N V X
	wait_for 120 "all are back" all up
	say "after $(sk N -j show transports | jq -r 'map("\(.name) \(.handshakes)") | join(", ")')"
	real_clean
	unlink_all
	fit "a cut"
done
row "ours, cut off in silence and back | stcp, stcpr | visor"

say "cut, of what visors have made: V - N, X - N"
for v in V X; do link stcp $v N; done
cut N V X
wait_for 60 "N notices" none_up
mend N V X
for v in V X; do wait_for 60 "$v notices" has_none $v; done
sleep 3
for v in V X; do link stcp $v N; done
unlink_all
fit "a cut of what visors have made"
row "visor, cut off in silence and back | stcp | ours"

logs_clean N M
nodes_end N M
