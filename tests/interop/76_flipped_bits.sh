#!/bin/bash
# Every bit of a handshake that a caller in Go says to our node is turned, one in each: none is taken that Go would not take,
# each ends in time, and the node takes a good caller as before.
#
#   [N] --- stcp --- [gx: callers with keys and addresses of their own]     [ga] a good one
. "$(dirname "$0")/_init.sh"

CALLERS=100 # of one address, and of all, not so many are taken at once
peers_net N gx ga
own_node N
go_key gx
go_key ga
node_conf N controlplane stcp "listen=${IP[N]}:7777"
node_conf N controlplane "transport a" "peer=${PK[ga]}" type=stcp dial=no
n=0
while read -r key; do
	node_conf N controlplane "transport x$n" "peer=$key" type=stcp dial=no
	ip -n gx addr add "10.1.0.$((100 + n))/24" dev e0
	n=$((n + 1))
done < <("$PEER" callers -key "$T/gx/key" $CALLERS)
same "callers" $n $CALLERS
node_start N
AT=${PK[N]}@${IP[N]}:7777

say "stcp"
go_peer gx flip -from 10.1.0.100 "$AT" $CALLERS >"$T/flipped" || fail "stcp: $(tail -n 20 "$T/flipped")"
say "$(cat "$T/flipped")"
expect "all of them" test "$(sed -n 's/ bits:.*//p' "$T/flipped")" -gt 6000
none() { [ "$(sk N -j show transports | jq '[.[] | select(.state == "up")] | length')" = 0 ]; }
wait_for 10 "no transport is left" none

say "a good one"
go_peer ga stcp "$AT" >"$T/good" 2>&1 &
up() { grep -q '^up' "$T/good"; }
wait_for 10 "a transport" up
logs_clean N
nodes_end N
