#!/bin/bash
# Every bit of a set-up node's calls at our node (dmsg port 136) is turned, one on each stream: each call is answered, or its stream
# ends; the good ones behind them are laid, and all rules end by themselves.
#
#   [N: ours] --- stcp --- [gl]     [gs: Go server] [gu: set-up node in Go]
. "$(dirname "$0")/_init.sh"

peers_net gs gu gl N
go_server gs
own_node N
for n in gu gl; do go_key $n; done
node_conf N controlplane "server gs" "key=${SERVER[gs]%@*}" "address=${SERVER[gs]#*@}"
node_conf N controlplane "route_setup_node gu" "key=${PK[gu]}"
node_conf N controlplane "transport l" "peer=${PK[gl]}" type=stcp "address=${IP[gl]}:7777"
go_start gl node -listen "${IP[gl]}:7777"
node_start N
up() { [ "$(sk N -j show transports | jq -r '.[0].state')" = up ]; }
wait_for 20 "a transport" up
wait_for 20 "N at the server" own_open N 1

go_peer gu flipcalls -server "${SERVER[gs]}" -keep 5s "${PK[N]}" "${PK[gl]}" >"$T/flipped" 2>"$T/gu.log" ||
	fail "calls: $(tail -n 20 "$T/flipped" "$T/gu.log")"
say "$(cat "$T/flipped")"
expect "all of them" test "$(sed -n 's/ bits:.*//p' "$T/flipped")" -gt 1400
# But for those whose keep-alive was what was changed
no_rules() { [ "$(sk N -j show rules | jq '[.[] | select(.keep_alive_ms < 10000)] | length')" = 0 ]; }
wait_for 30 "no rules are left" no_rules

logs_clean N
nodes_end N
peers_end gs gl
