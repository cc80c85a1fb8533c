#!/bin/bash
# Our set-up node lays routes through nodes in Go, of 2024 and of later ones, by a server in Go: rules where they
# belong, what a node says when it refuses, and rules taken back where nodes know how.
#
#   [ga] asks ---+--- [gs: Go server] ---+--- [gb] 2026   [gc] 2024   [gd] 2026, refuses to be an end
#                                        +--- [N] our set-up node
. "$(dirname "$0")/_init.sh"

peers_net gs ga gb gc gd N
go_server gs
own_client N gs
PK[S]=$(node_key "$T/N/setup.key")
node_conf N controlplane setup_node enable=yes "key_file=$T/N/setup.key"
node_start N
own_sessions() { [ "$(sk N -j show dmsg | jq -r .setup_pk)" = "${PK[S]}" ] && sk N show dmsg | grep -q "${PK[S]}"; }
wait_for 10 "the role" own_sessions
go_start gb gateway -gen 2026 -server "${SERVER[gs]}"
go_start gc gateway -server "${SERVER[gs]}"
go_start gd gateway -gen 2026 -refuse AddEdgeRules -server "${SERVER[gs]}"
go_key ga

# route KEYS: by these nodes; what ga was given is in $T/route, what went wrong in $T/route.log
route() { go_peer ga route -server "${SERVER[gs]}" "${@:2}" "${PK[S]}" "$1" >"$T/route" 2>"$T/route.log"; }
rules() { grep -v '^ready\|^edge' "$1" | sed 's/ tp=.*//'; }
tp_of() { grep -o "$2.*tp=.*" "$1" | sed 's/.*tp=//'; }
route "${PK[gb]},${PK[gc]}" || fail "no route: $(tail -n3 "$T/route.log") $(sk N show setups)"
same "rules of the initiator" "$(sed 's/ tp=.*//' "$T/route")" $'edge\nforward keep=10m0s key=1 next=1\nconsume keep=10m0s key=2'
same "rules in the middle" "$(rules "$T/gb/out")" $'intermediary keep=10m0s key=1 next=1\nintermediary keep=10m0s key=2 next=2'
same "rules of the responder" "$(rules "$T/gc/out")" $'forward keep=10m0s key=2 next=2\nconsume keep=10m0s key=1'
same "transport of both ends of a hop" "$(tp_of "$T/route" forward)" "$(tp_of "$T/gb/out" 'key=2')"
same "transport of the other hop" "$(tp_of "$T/gc/out" forward)" "$(tp_of "$T/gb/out" 'key=1')"

say "two at once, a direct one, and a loop"
route "${PK[gc]}" -keep 30s || fail "no direct route: $(tail -n3 "$T/route.log")"
expect "keep-alive of the dial" grep -q "keep=30s" "$T/route"
route "${PK[gb]},${PK[gc]},${PK[gb]},${PK[ga]}" || fail "no loop: $(tail -n3 "$T/route.log")"
same "set-ups" "$(sk N -j show setups | jq -r '[.[].state] | unique[]')" "done"
same "done" "$(sk N -j show dmsg | jq .setups_done)" 3

say "an end that refuses: the middle gives its rules back"
seen=$(wc -l <"$T/gb/out")
new() { tail -n "+$((seen + 1))" "$T/gb/out"; }
if route "${PK[gb]},${PK[gd]}"; then fail "a route in spite of a refusal"; fi
expect "the words of who refused" grep -q "failure code 1 (add edge rules at ${PK[gd]}: failure code 1 (AddEdgeRules is refused))" "$T/route.log"
given_back() { new | grep -q '^deleted'; }
wait_for 10 "rules given back" given_back
same "what" "$(new | sed -n 's/^deleted .\(.*\).$/\1/p')" "$(new | grep -o 'key=[0-9]*' | cut -c5- | xargs)"
same "the newest" "$(sk N -j show setups | jq -r 'first | .state')" failed
sk N show setups | grep -q "AddEdgeRules is refused" || fail "no reason: $(sk N show setups)"

say "one that cannot give back, and one that is not there"
if route "${PK[gc]},${PK[gd]}"; then fail "a route in spite of a refusal"; fi
settled() { [ "$(sk N -j show dmsg | jq .setups)" = 0 ]; }
wait_for 10 "the end of it" settled
node_kill gb KILL || true
if route "${PK[gb]},${PK[gc]}"; then fail "a route by a node that is not there"; fi
expect "who is not there" grep -q "failure code 4 (reserve ids at ${PK[gb]}" "$T/route.log"
same "failed" "$(sk N -j show dmsg | jq .setups_failed)" 3
echo "Go asks | ours lays | Go 2024 and 2026, by a Go server" >>build/interop/matrix
logs_clean N
nodes_end N
peers_end gs gc gd
