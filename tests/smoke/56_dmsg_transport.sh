#!/bin/bash
# Transports over dmsg streams: one that a node dials, with a route group on it both ways; a peer that may not; any peer; ends
# of a control plane and of the server.
#
#   [A] ---- [S: dmsg server, set-up node] ---- [B]
. "$(dirname "$0")/_init.sh"

PORT=8081

net_add A S B
net_link A a0 10.1.1.2/24 S s0 10.1.1.1/24
net_link B b0 10.1.2.2/24 S s1 10.1.2.1/24
for n in S A B; do node_new $n net_null0,no-rx=1; done
SERVER=$(node_key "$T/S/dmsg.key")
SETUP=$(node_key "$T/S/setup.key")
node_conf S controlplane dmsg_server "listen=0.0.0.0:$PORT" "key_file=$T/S/dmsg.key"
node_conf S controlplane "server s" "key=$SERVER" "address=10.1.1.1:$PORT"
node_conf S controlplane setup_node enable=yes "key_file=$T/S/setup.key"
node_conf A controlplane "server s" "key=$SERVER" "address=10.1.1.1:$PORT"
node_conf B controlplane "server s" "key=$SERVER" "address=10.1.2.1:$PORT"
for n in A B; do node_conf $n controlplane "route_setup_node s" "key=$SETUP"; done
node_peer A b B type=dmsg
node_start S A B

rules() { sk "$1" -j show rules | jq length; }
no_rules() { [ "$(rules A)$(rules B)" = 00 ]; }

say "B does not know A"
hung_up() { [ "$(count B drop_carried_not_allowed)" -gt 0 ]; }
wait_for 30 "A is refused" hung_up
expect "A says why" sk A show transports | grep -q "the peer hung up: may this node connect there?"

say "now it does"
sk B transport add a "peer=${PK[A]}" type=dmsg dial=no
wait_for 60 "A's transport" tp_up A b
wait_for 5 "B's" tp_up B a
same "transport ids of both ends" "$(tp A b tp_id)" "$(tp B a tp_id)"
same "types" "$(tp A b type) $(tp B a type)" "dmsg dmsg"
! sk A transport add c "peer=${PK[S]}" type=dmsg address=10.1.1.1:45 2>"$T/why" || fail "an address"
expect "it says why" grep -q "has no address" "$T/why"
! sk A transport add c "peer=${PK[B]}" type=dmsg 2>"$T/why" || fail "a second one"
expect "it says why" grep -q "this peer has a dmsg transport already: b" "$T/why"
sk A transport add bs "peer=${PK[B]}" type=stcp dial=no 2>"$T/why"
same "one of another type takes no name from it: $(cat "$T/why")" "$(wc -c <"$T/why") $(tp A b type)" "0 dmsg"
sk A transport del bs

# group: a stream each way between A and B, over the transport
group() {
	sk B route listen 7 <"$T/back" >"$T/got" 2>"$T/listen.err" &
	local listener=$!
	wait_for 10 "a listener" listens B 7
	expect "dial" sk A route dial "${PK[B]}:7" <"$T/there" >"$T/reply"
	expect "the listener's end" wait "$listener"
	same "there" "$(sha256sum <"$T/got")" "$(sha256sum <"$T/there")"
}

say "a route over it"
head -c 5000000 /dev/urandom >"$T/there"
: >"$T/back"
group
[ "$(tp A b tx_bytes)" -gt 5000000 ] || fail "A sent $(tp A b tx_bytes) bytes by its transport"
bytes_agree() { [ "$(tp A b tx_bytes) $(tp A b rx_bytes)" = "$(tp B a rx_bytes) $(tp B a tx_bytes)" ]; }
wait_for 5 "both ends count the same bytes" bytes_agree
wait_for 20 "nothing is left" no_rules

say "B's control plane is killed: it comes back by one dial, and any key may come now"
node_conf B controlplane peers allow=any
node_kill B.cp KILL || true
wait_for 20 "A sees the end" tp_not_up A b
before=$(tp A b handshakes)
cp_start B
wait_for 60 "it is back" tp_up A b
same "dials of A that were taken" "$(($(tp A b handshakes) - before))" 1
accepted() { [ "$(sk B -j show transports | jq -r '.[] | "\(.type) \(.state)"')" = "dmsg up" ]; }
expect "B has made one for it" accepted
group

say "the server ends and comes back"
node_kill S.cp KILL || true
wait_for 20 "A sees the end" tp_not_up A b
gone() { [ "$(sk B -j show transports | jq length)" = 0 ]; }
wait_for 20 "B's is gone" gone
cp_start S
wait_for 90 "it is back" tp_up A b
wait_for 5 "B's" accepted
same "calls that met another" "$(count A drop_carried_twice) $(count B drop_carried_twice)" "0 0"
logs_clean A B
nodes_end A B S
