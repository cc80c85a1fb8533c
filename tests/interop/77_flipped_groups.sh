#!/bin/bash
# Every bit of type and payload of a route group's handshake is turned by an end in Go, one in each group: as who dials our node,
# and as who is dialled by it. None is taken that Go would not take, each ends in time, and nothing is left.
#
#   [N: ours] --- stcp --- [gd] dials, [gl] is dialled     [gs: Go server] [gu: Go set-up node]
. "$(dirname "$0")/_init.sh"

peers_net gs gu gd gl N
go_server gs
own_node N
for n in gu gd gl; do go_key $n; done
node_conf N controlplane "server gs" "key=${SERVER[gs]%@*}" "address=${SERVER[gs]#*@}"
node_conf N controlplane stcp "listen=${IP[N]}:7777"
node_conf N controlplane "route_setup_node gu" "key=${PK[gu]}"
node_conf N controlplane "transport d" "peer=${PK[gd]}" type=stcp dial=no
node_conf N controlplane "transport l" "peer=${PK[gl]}" type=stcp "address=${IP[gl]}:7777"
node_conf N controlplane routing bench_port=5
go_start gu setup -server "${SERVER[gs]}"
go_start gl node -fault flip -server "${SERVER[gs]}" -listen "${IP[gl]}:7777" -echo 3
node_start N
up() { sk N -j show transports | jq -e --arg n "$1" 'any(.name == $n and .state == "up")'; }
wait_for 20 "a transport" up l
wait_for 20 "N at the server" own_open N 1
live() { sk N -j show groups | jq '[.[] | select(.state != "ended" and .state != "listens")] | length'; }
none_live() { [ "$(live)" = 0 ]; }

say "who dials"
go_peer gd flipgroups -v -server "${SERVER[gs]}" -setup "${PK[gu]}" -stcp "${PK[N]}@${IP[N]}:7777" -keep 5s "${PK[N]}:5" \
	>"$T/flipped" 2>"$T/gd.log" || fail "groups: $(tail -n 20 "$T/flipped" "$T/gd.log")"
say "$(cat "$T/flipped")"
same "all of them, and what is the same in other words" "$(sed -n 's/ bits:.*Go does:\([0-9]*\).*/ \1/p' "$T/flipped")" "432 7"
wait_for 20 "the end of all groups" none_live

say "who is dialled"
dial() { # until a group had no bit turned
	local rc
	while ! grep -q '^flip .* false' "$T/gl/out"; do
		rc=0
		timeout 60 "$BIN/skyrail" -s "$T/N/run/control.sock" route dial "${PK[gl]}:3" keep-alive=5s <"$T/byte" >"$T/got.$1" 2>>"$T/dial.log" || rc=$?
		echo $rc >>"$T/codes"
	done
}
echo x >"$T/byte"
dialling=()
for i in {1..8}; do
	dial "$i" &
	dialling+=($!)
done
wait "${dialling[@]}"
ended() { grep -c "^$1\$" "$T/codes" || true; }
say "$(sort "$T/codes" | uniq -c | xargs): $(sed 's/.*: //' "$T/dial.log" | sort | uniq -c | sort -rn | head -n 8)"
same "dials that had no end" "$(ended 124)" 0
clean() { grep -c '^flip .* false' "$T/gl/out"; }
told() { [ $(($(wc -l <"$T/codes") - $(clean))) = 432 ]; }
wait_for 10 "the word of $(($(wc -l <"$T/codes") - 432)) groups without one" told
same "bits that say the same in other words" $(($(ended 0) - $(clean))) 7
wait_for 20 "the end of all groups" none_live
no_rules() { [ "$(sk N -j show rules | jq length)" = 0 ]; }
wait_for 30 "no rules are left" no_rules
logs_clean N
nodes_end N
peers_end gs gu gl
