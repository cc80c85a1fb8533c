#!/bin/bash
# Transport set-up by a server in Go: a client in Go has ours make, tell of and remove transports, and ours has nodes in Go do
# so, one of 2024 and one of later versions, which tells more. Who is not on a list is hung up on, either way.
#
#   [ga] asks ---+                 +--- [N: our node] ==== dmsg ==== [M: our node]
#   [gx] may not +--- [gs] --------+
#                                  +--- [gb] 2024   [gc] 2026, refuses M
. "$(dirname "$0")/_init.sh"

peers_net gs ga gx gb gc N M
go_server gs
go_key ga
go_key gx
for n in N M; do own_client $n gs; done
node_conf N controlplane "transport_setup a" "key=${PK[ga]}"
node_conf M controlplane peers allow=any
node_start N M
for n in N M; do wait_for 10 "the session of $n" own_open $n 1; done
go_start gb tpgateway -server "${SERVER[gs]}"
go_start gc tpgateway -gen 2026 -refuse "${PK[M]}" -server "${SERVER[gs]}"

# asks NAME WORDS: N, in Go; what it was told is in $T/told
asks() { go_peer "$1" tpask -server "${SERVER[gs]}" "${PK[N]}" "$2" >"$T/told" 2>"$T/tpask.log"; }
told() { cat "$T/told"; }
control() { sk N -j show counters | jq --arg n "$1" '[.[] | select(.name == $n) | .value] | add // 0'; }

say "Go asks ours"
asks ga "list,add ${PK[M]} dmsg,list" || fail "not told: $(cat "$T/tpask.log")"
id=$(sk N -j show transports | jq -r '.[0].tp_id')
words="$id ${PK[N]} ${PK[M]} dmsg"
same "what it was told" "$(told)" $'0 told\n'"$words"$'\n'"$words"$'\n1 told'
same "at ours" "$(sk N -j show transports | jq -r '.[] | "\(.type) \(.state) \(.origin)"')" "dmsg up asked"
at_m() { [ "$(sk M -j show transports | jq -r '.[] | "\(.tp_id) \(.state)"')" = "$id up" ]; }
wait_for 5 "the other end" at_m
asks ga "add ${PK[M]} sudph,add ${PK[N]} dmsg,remove 1d60fbdd-a0fc-0a64-85c6-f155e43f3465,list" || fail "$(cat "$T/tpask.log")"
same "what it is refused" "$(told)" $'save transport: unknown network type\nsave transport: peer is this node\'s own key\ntransport not found\n'"$words"$'\n1 told'
asks ga "remove $id,list" || fail "$(cat "$T/tpask.log")"
same "removed" "$(told)" $'removed true\n0 told'
same "at ours" "$(sk N -j show transports | jq length)" 0
if asks gx list; then fail "a stranger is told"; fi
same "counters" "$(control tp_setups) $(control tp_setups_removed) $(control drop_tp_setup_calls) $(control drop_tp_setup_strangers)" "1 1 3 1"
asks ga list || fail "nobody is told any more: $(cat "$T/tpask.log")"
echo "Go asks for transports | ours | by a Go server" >>build/interop/matrix

# both NODE: ours asks it
both() {
	local at="on=${PK[$1]}"
	say "ours asks Go: $1"
	same "nothing yet" "$(sk N -j transport list "$at")" "[]"
	sk N -j transport add "$at" "peer=${PK[M]}" type=stcpr >"$T/one" || fail "no transport: $(cat "$T/one")"
	same "of whom" "$(jq -r '.[0] | "\(.local) \(.remote) \(.type)"' "$T/one")" "${PK[$1]} ${PK[M]} stcpr"
	id=$(jq -r '.[0].tp_id' "$T/one")
	expect "it was made" grep -q "made $id ${PK[M]} stcpr" "$T/$1/out"
	sk N transport add "$at" "peer=${PK[ga]}" type=dmsg >/dev/null
	same "both" "$(sk N -j transport list "$at" | jq -r '[.[].type] | join(" ")')" "stcpr dmsg"
	sk N transport del "$at" "id=$id" || fail "not removed"
	expect "it was removed" grep -q "removed $id" "$T/$1/out"
	if sk N transport del "$at" "id=$id" 2>"$T/no"; then fail "removed twice"; fi
	expect "its words" grep -q "transport not found" "$T/no"
	if sk N transport add "$at" "peer=${PK[M]}" type=warp 2>"$T/no"; then fail "a type that is none"; fi
	expect "its words" grep -q "unknown network type" "$T/no"
}
both gb
both gc
if sk M transport list "on=${PK[gc]}" 2>"$T/no"; then fail "M is told"; fi
expect "why not" grep -q "is this node's key in a .transport_setup NAME. of its configuration" "$T/no"
echo "ours asks for transports | Go 2024 and 2026 | by a Go server" >>build/interop/matrix
logs_clean N M
nodes_end N M
peers_end gs gb gc
