#!/bin/bash
# Route groups that we dial, to ends in Go of 2024 and of 2026, over one node of ours and over two, laid by set-up nodes in Go
# (100 MiB both ways at once) and of ours: who closes, what is said when it does not work, and what is not sealed.
. "$(dirname "$0")/_edges.sh"

# dial FILE SETUP 2024|2026 WHO "TYPE MIDDLE" VIA
dial() {
	say "$5, laid by $2, $3"
	ours "$1" "${PK[$4]}:3" "$6" type=stcp
	row "ours, group by ${5%% *} | ${5#* }, laid by $2 | Go $3"
}
N=${PK[N]} M=${PK[M]}
dials() { # FILE SETUP GENERATION WHO GENERATION WHO
	dial "$1" "$2" "$3" "$4" "rail ours" "$N"
	dial "$1" "$2" "$5" "$6" "stcp ours" "$M"
	dial "$1" "$2" "$5" "$6" "rail ours - stcp - ours" "$N,$M"
	dial "$1" "$2" "$3" "$4" "stcp ours - stcp - ours" "$M,$N"
	wait_for 20 "no rules are left" no_rules
}
dials "$T/file" Go 2024 gc 2026 gd
# The end at Go: it is told of ours
for g in gc gd; do same "groups that we closed at $g" "$(grep -c "echo to ${PK[A]}:[0-9]* over: <nil>" "$T/$g/out")" 2; done

# over WHAT [OPTION...]: one that listens in Go closes when all came and all of its own is sent
over() {
	local hearer dialler
	: >"$T/gl.log"
	go_peer ga rlisten -v -server "${SERVER[gs]}" -stcp "$N@${IP[N]}:7777" -expect 5000000 "${@:2}" 4 \
		<"$T/small" >"$T/heard" 2>"$T/gl.log" &
	hearer=$!
	wait_for 20 "a listener" grep -q ready "$T/gl.log"
	sk A route dial "${PK[ga]}:4" "via=$N" type=stcp <"$T/in" >"$T/copy" 2>"$T/dial.log" &
	dialler=$!
	exec 9>"$T/in"
	{ cat "$T/small" >&9; } 2>/dev/null || true
	wait $hearer || say "$1, listener: $(tail -n3 "$T/gl.log")"
	exec 9>&- # it has the end from the other side
	wait $dialler
}
say "the far end closes"
over "closed by Go" || fail "dial: $(cat "$T/dial.log")"
expect "the same, to Go" cmp "$T/small" "$T/heard"
expect "the same, from Go" cmp "$T/small" "$T/copy"
wait_for 20 "no rules are left" no_rules

say "what is refused, and in whose words"
expect "no listener" refused "${PK[gc]}:9" "$N" type=stcp # the dialler may be open when it hears that
sk A -j show groups | jq -r '.[].reason' >"$T/reasons"
why "the far end says: no listener on port 9, service offline" "$T/reasons"
expect "an end that refuses" refused "${PK[gr]}:3" "$N" type=stcp
why "failure code 1 (AddEdgeRules is refused)"
expect "no such transport" refused "${PK[gc]}:3" "$N,$M" type=stcpr
why "no such transport here"

say "who does not seal is not taken"
if over "not sealed" -plain; then fail "a group that is not sealed"; fi
why "the far end does not seal the route, and plaintext is not allowed here"

node_kill gu TERM || true
say "our set-up node"
dials "$T/small" ours 2026 gd 2024 gc
same "routes of our set-up node" "$(sk U -j show dmsg | jq .setups_done)" 4
expect "an end that refuses" refused "${PK[gr]}:3" "$N" type=stcp
why "add edge rules at ${PK[gr]:0:8}"
why "failure code 1 (AddEdgeRules is refused)"

say "where plaintext is allowed it is taken"
node_conf A controlplane routing allow_plaintext=yes
node_kill A.cp TERM
cp_start A
edges_up
over "not sealed, allowed" -plain || fail "dial: $(cat "$T/dial.log")"
expect "the same, to Go, not sealed" cmp "$T/small" "$T/heard"
expect "the same, from Go, not sealed" cmp "$T/small" "$T/copy"
wait_for 20 "no rules are left" no_rules

logs_clean A N M U
nodes_end A N M U
peers_end gs gc gd gr
