#!/bin/bash
# Transport set-up: node A has B make, tell of and remove transports of B to C. Who is not named may not, and who is named is
# taken live.
#
#   [A] asks ---- [S: dmsg server] ---- [B] ==== dmsg ==== [C] (by S)
. "$(dirname "$0")/_init.sh"

PORT=8081

net_add A S B C
net_link A a0 10.1.1.2/24 S s0 10.1.1.1/24
net_link B b0 10.1.2.2/24 S s1 10.1.2.1/24
net_link C c0 10.1.3.2/24 S s2 10.1.3.1/24
for n in S A B C; do node_new $n net_null0,no-rx=1; done
SERVER=$(node_key "$T/S/dmsg.key")
node_conf S controlplane dmsg_server "listen=0.0.0.0:$PORT" "key_file=$T/S/dmsg.key"
i=0
for n in A B C; do
	i=$((i + 1))
	node_conf $n controlplane "server s" "key=$SERVER" "address=10.1.$i.1:$PORT"
done
node_conf C controlplane peers allow=any
node_start S A B C

control() { sk "$1" -j show counters | jq --arg n "$2" '[.[] | select(.name == $n) | .value] | add // 0'; }
open_session() { [ "$(sk "$1" -j show servers | jq -r '.[0].state')" = open ]; }
for n in A B C; do wait_for 20 "a session of $n" open_session $n; done
ask() { sk A transport "$1" "on=${PK[B]}" "${@:2}"; }
# not_done WORDS COMMAND...: it fails, and says so
not_done() {
	local words=$1
	shift
	if "$@" >"$T/said" 2>&1; then fail "done: $*"; fi
	grep -q "$words" "$T/said" || fail "$* says $(cat "$T/said")"
}
listed() { sk A -j transport list "on=${PK[B]}" | jq length; }

say "B has nobody who may"
not_done "nobody listens on that port" ask list
not_done "node ${PK[B]:0:8} is not asked: .* if it has a \[transport_setup NAME\]" ask list
say "another may"
node_conf B controlplane "transport_setup c" "key=${PK[C]}"
sk B config reload | grep -q "transport_setup c" || fail "the reload does not tell of it"
not_done "node ${PK[B]:0:8} hung up: is this node's key in a \[transport_setup NAME\] of its configuration" ask list
same "strangers" "$(control B drop_tp_setup_strangers)" 1

say "A may"
node_conf B controlplane "transport_setup a" "key=${PK[A]}"
sk B config reload >/dev/null
same "transports" "$(listed)" 0
ask add "peer=${PK[C]}" type=dmsg >"$T/table" || fail "no transport: $(cat "$T/table")"
id=$(sk A -j transport list "on=${PK[B]}" | jq -r '.[0].tp_id')
expect "the table" grep -q "$id *dmsg *${PK[B]:0:8} *${PK[C]:0:8}" "$T/table"
same "at B" "$(sk B -j show transports | jq -r '.[] | "\(.tp_id) \(.type) \(.state) \(.origin)"')" "$id dmsg up asked"
at_c() { [ "$(sk C -j show transports | jq -r '.[] | "\(.tp_id) \(.state)"')" = "$id up" ]; }
wait_for 5 "at C" at_c
ask add "peer=${PK[C]}" type=dmsg >/dev/null || fail "not the one that is there"
same "made" "$(control B tp_setups)" 1

say "what is none of its business"
not_done "node ${PK[B]:0:8} says: .*unknown network type (type=rail)" ask add "peer=${PK[C]}" type=rail
not_done "the address of that node is not known here" ask add "peer=${PK[C]}" type=stcp
not_done "there is no address resolver" ask add "peer=${PK[C]}" type=stcpr
not_done "transport not found" ask del id=00000000-0000-0000-0000-000000000001
sk A transport add c "peer=${PK[B]}" type=dmsg dial=no
sk B transport add a "peer=${PK[A]}" type=dmsg
wait_for 60 "B's own transport" tp_up B a
not_done "transport was not created by skycoin" ask del "id=$(tp B a tp_id)"
same "it is not told" "$(listed)" 1
same "one that failed is gone" "$(sk B -j show transports | jq '[.[] | select(.type == "stcpr")] | length')" 0

say "it is removed"
ask del "id=$id" || fail "not removed"
same "transports" "$(listed)" 0
at_c_gone() { [ "$(sk C -j show transports | jq length)" = 0 ]; }
wait_for 10 "C's is gone" at_c_gone
same "removed" "$(control B tp_setups_removed)" 1

say "it may not any more"
sed -i '/^\[transport_setup a\]/,/^key/d' "$T/B/controlplane.ini"
sk B config reload >/dev/null
not_done "is this node's key in a \[transport_setup NAME\] of its configuration" ask list
logs_clean A B C
nodes_end A B C S
