#!/bin/bash
# Three dmsg servers, A - B - C, each with a client on its own node: clients of neighbours reach each
# other, those of A and C don't, until A and C are joined, too. B is killed under a stream, and
# comes back.
#
#   [A] ---- [B] ---- [C]
#    +-----------------+      only a way for packets until the last part
. "$(dirname "$0")/_init.sh"

BYTES=20000000 PORT=4000 SERVER_PORT=8081

net_add A B C
net_link A a0 10.1.1.1/24 B b0 10.1.1.2/24
net_link B b1 10.1.2.2/24 C c0 10.1.2.3/24
net_link A a1 10.1.3.1/24 C c1 10.1.3.3/24
node_new A a0 a1
node_new B b0 b1
node_new C c0 c1
declare -A IP=([AB]=10.1.1.2 [BA]=10.1.1.1 [BC]=10.1.2.3 [CB]=10.1.2.2 [AC]=10.1.3.3 [CA]=10.1.3.1) KEY
for n in A B C; do
	KEY[$n]=$(node_key "$T/$n/dmsg.key")
	node_conf "$n" controlplane dmsg_server "listen=0.0.0.0:$SERVER_PORT" "key_file=$T/$n/dmsg.key"
	node_conf "$n" controlplane "server own" "key=${KEY[$n]}" "address=127.0.0.1:$SERVER_PORT"
done
# peers ONE OTHER: each names the other
peers() {
	node_conf "$1" controlplane "peer_server $2" "key=${KEY[$2]}" "address=${IP[$1$2]}:$SERVER_PORT"
	node_conf "$2" controlplane "peer_server $1" "key=${KEY[$1]}" "address=${IP[$2$1]}:$SERVER_PORT"
}
peers A B
peers B C
node_start A B C

session() { [ "$(sk "$1" -j show servers | jq -r '.[0].state')" = open ]; }
for n in A B C; do wait_for 20 "session of $n" session "$n"; done
wait_for 20 "peers of A" dmsg_is A peers 1
wait_for 20 "peers of B" dmsg_is B peers 2
wait_for 20 "peers of C" dmsg_is C peers 1
same "servers that A shows" "$(sk A -j show servers | jq -r '.[] | "\(.kind) \(.state) \(.pk)"' | sort)" \
	"$(printf '%s\n' " open ${KEY[A]}" "mesh open ${KEY[B]}" | sort)"
same "sessions of A" "$(sk A -j show sessions | jq -r '.[] | "\(.role) \(.kind) \(.pk)"' | sort)" \
	"$(printf '%s\n' "client mesh ${KEY[B]}" "server mesh ${KEY[B]}" "server  ${PK[A]}" "client  ${KEY[A]}" | sort)"

head -c "$BYTES" /dev/urandom >"$T/file"

say "neighbours, either way"
carry A B "$PORT"
carry B A "$PORT"
carry C B "$PORT"
same "streams out of A" "$(dmsg A mesh_out)" 1
same "streams into A" "$(dmsg A mesh_in)" 1
same "streams into B" "$(dmsg B mesh_in)" 2
counter() { sk "$1" -j show counters "$2" | jq -r '.[0].value'; }
same "counter of A's server" "$(counter A dmsg_mesh_out)" 1
same "counter of A's client" "$(counter A dmsg_client_dialled)" 1

say "no two hops: B refuses what A has for a client of C"
! sk A dmsg dial "${PK[C]}:$PORT" </dev/null 2>"$T/refused.log" || fail "A has reached C"
expect "it says why" grep -q 'dmsg code 352' "$T/refused.log"
same "refused by A's peers" "$(dmsg A mesh_refused)" 1
same "no destination at B" "$(dmsg B no_destination)" 1
same "C heard nothing" "$(dmsg C no_destination)$(dmsg C mesh_in)" 00

say "B is killed under a stream, and comes back"
mkfifo "$T/ask"
sk B dmsg listen "$PORT" </dev/null >"$T/asked" 2>"$T/listen.log" &
wait_for 10 "a listener" dmsg_is B listeners 2
sk A dmsg dial "${PK[B]}:$PORT" <"$T/ask" >/dev/null 2>&1 &
exec 8>"$T/ask"
echo question >&8
wait_for 10 "the question" grep -q question "$T/asked"
node_kill B.cp KILL || true
wait_for 10 "A's stream is over" dmsg_is A relays 0
wait_for 10 "A has no peer" dmsg_is A peers 0
exec 8>&-
cp_start B
wait_for 30 "session of B" session B
wait_for 70 "peers of A" dmsg_is A peers 1
wait_for 70 "peers of C" dmsg_is C peers 1
carry A B "$PORT"

say "A and C are joined, too, for as long as their configurations say so"
for n in A C; do cp "$T/$n/controlplane.ini" "$T/$n.ini"; done
peers A C
sk A config reload >"$T/reload.log" || fail "A: $(cat "$T/reload.log")"
notes() { sk A show servers | grep -c '^C: took no stream yet' || true; }
at_c() { [ "$(sk A -j show servers | jq -r '.[] | select(.section == "C") | .state')" = open ]; }
wait_for 70 "A at C, which knows nothing of it" at_c
same "what is odd about that, before a stream" "$(notes)" 0
! sk A dmsg dial "$(node_key "$T/nobody.key"):$PORT" </dev/null 2>"$T/refused.log" || fail "A has reached nobody"
same "... and after one" "$(notes)" 1
expect "C says whom it does not name" grep -q "foreign source refused: client=${KEY[A]}: .*peer_server NAME" "$T/C/controlplane.log"
sk C config reload >"$T/reload.log" || fail "C: $(cat "$T/reload.log")"
expect "it says what is new" grep -q 'peer_server A\] is new' "$T/reload.log"
expect "and asks for no restart" test -z "$(grep 'next start' "$T/reload.log")"
wait_for 70 "peers of A" dmsg_is A peers 2
wait_for 70 "peers of C" dmsg_is C peers 2
same "round trip to C, by name" "$(sk A -j dmsg ping own | jq -r '.section, .pk')" "own"$'\n'"${KEY[A]}"
carry A C "$PORT"
same "nothing is odd any more" "$(notes)" 0
same "streams into C" "$(dmsg C mesh_in)" 1
for n in A C; do
	cp "$T/$n.ini" "$T/$n/controlplane.ini"
	sk "$n" config reload >"$T/reload.log" || fail "$n: $(cat "$T/reload.log")"
done
same "peers of A" "$(dmsg A peers)" 1
! sk A dmsg dial "${PK[C]}:$PORT" </dev/null 2>"$T/refused.log" || fail "A has reached C, which is no peer any more"
same "sessions of peers at A" "$(sk A -j show sessions | jq -r 'map(select(.kind == "mesh")) | length')" 2

say "a peer without [dmsg_server], and a server that is its own peer, are refused"
printf '[peers]\n[peer_server p]\nkey = %s\n' "${KEY[B]}" >"$T/bad.ini"
! "$BIN/skyrail" config check "$T/bad.ini" >"$T/bad.log" 2>&1 || fail "taken"
expect "it says why" grep -q 'no dmsg server' "$T/bad.log"
cp "$T/C/controlplane.ini" "$T/good.ini"
node_conf C controlplane "peer_server self" "key=${KEY[C]}"
node_kill C.cp TERM || fail "control plane of C ended with $?"
! in_ns C timeout 20 "$BIN/skyrail-controlplane" -c "$T/C/controlplane.ini" >"$T/own.log" 2>&1 ||
	fail "a server that is its own peer has started"
expect "it says why" grep -q 'a key of the node itself' "$T/own.log"
cp "$T/good.ini" "$T/C/controlplane.ini"
cp_start C
logs_clean A B C
nodes_end A B C
