#!/bin/bash
# Our carried transports at a transport discovery in Go: registered before the dialler has its answer, put back when
# somebody removes them, removed when they close and when the node ends; a discovery that hangs holds a dial up for two
# seconds, and one that comes back is told.
#
#   [ga] dials --- [N: our node] --- dials [gc]       [gx: services in Go]
. "$(dirname "$0")/_init.sh"

ASK=$SKYRAIL_BIN/tests/interop/ask
[ -x "$ASK" ] || { echo "$ASK is not built: make interop does" >&2 && exit 1; }
peers_net gx ga gc N
go_start gx services "${IP[gx]}:9091"
URL=http://${IP[gx]}:9091
own_node N
go_key ga
go_key gc
node_conf N controlplane stcp "listen=${IP[N]}:7777"
node_conf N controlplane transports "discovery=$URL"
node_conf N controlplane "transport a" "peer=${PK[ga]}" type=stcp dial=no
node_conf N controlplane "transport c" "peer=${PK[gc]}" type=stcp "address=${IP[gc]}:7777"
node_start N

# asked WHAT PEER: by the peer's key, of its transport to N; is STATUS PEER
asked() { ip netns exec ga "$ASK" "$T/$2/key" "$1" "$URL" "$T/N/node.key" stcp | cut -d' ' -f1; }
is() { [ "$(asked find "$2")" = "$1" ]; }
state() { sk N -j show services | jq -r ".[0].$1"; }
state_is() { [ "$(state "$1")" = "$2" ]; }
# dials_up: ga has a transport to N
dials_up() {
	: >"$T/ga/out"
	(exec ip netns exec ga "$PEER" stcp -key "$T/ga/key" "${PK[N]}@${IP[N]}:7777") >"$T/ga/out" 2>&1 &
	PID[ga]=$!
	wait_for 20 "the transport of ga" grep -q '^up' "$T/ga/out"
}
hangs_up() {
	node_kill ga KILL || true
	wait_for 20 "the end of it" tp_not_up N a
}

say "as responder: there when the dialler has its answer"
dials_up
same "the entry" "$(asked find ga)" 200
same "signatures" "$(grep -c 'stcp signatures: 2' "$T/gx/out")" 1
same "ours and listed" "$(state up) $(state registered) $(state late)" "1 1 0"
hangs_up
wait_for 10 "the entry removed" is 404 ga

say "removed behind our back"
dials_up
same "the entry" "$(asked find ga)" 200
same "removed" "$(asked delete ga)" 200
wait_for 20 "the entry again" is 200 ga
same "put back" "$(state mended)" 1
hangs_up
wait_for 10 "the entry removed" is 404 ga

say "a discovery that hangs"
kill -STOP "${PID[gx]}"
dials_up
same "not waited for" "$(state late)" 1
kill -CONT "${PID[gx]}"
wait_for 20 "the entry" is 200 ga

say "as initiator, of whom the responder has not posted"
go_start gc node -listen "${IP[gc]}:7777"
wait_for 40 "the transport to gc" tp_up N c
wait_for 20 "its entry" is 200 gc
same "signatures" "$(grep -c 'stcp signatures: 1' "$T/gx/out")" 1

say "the end of the node"
node_kill N.cp TERM || fail "control plane of N ended with $?"
same "what is left" "$(asked find ga) $(asked find gc)" "404 404"
node_kill N.dp TERM || fail "data plane of N ended with $?"
logs_clean N
peers_end gc gx
echo "Go 2024, by stcp | ours, registered | services in Go" >>build/interop/matrix
