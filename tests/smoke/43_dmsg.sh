#!/bin/bash
# dmsg: a file from A to B by key alone, through the server on S, which is killed and comes back.
#
#   [A] ---- [S: dmsg server] ---- [B]
. "$(dirname "$0")/_init.sh"

BYTES=20000000 PORT=4000 SERVER_PORT=8081

net_add A S B
net_link A a0 10.1.1.2/24 S s0 10.1.1.1/24
net_link B b0 10.1.2.2/24 S s1 10.1.2.1/24
node_new S s0 s1
node_new A a0
node_new B b0
SERVER=$(node_key "$T/S/dmsg.key")
serve() { node_conf S controlplane dmsg_server "listen=0.0.0.0:$SERVER_PORT" "key_file=$1"; }

say "the node's own key makes no server"
cp "$T/S/controlplane.ini" "$T/plain.ini"
cp "$T/S/node.key" "$T/S/copy.key"
serve "$T/S/copy.key"
! in_ns S timeout 20 "$BIN/skyrail-controlplane" -c "$T/S/controlplane.ini" >"$T/own.log" 2>&1 ||
	fail "a server with the node's key has started"
expect "it says why" grep -q "holds the node's key" "$T/own.log"

cp "$T/plain.ini" "$T/S/controlplane.ini"
serve "$T/S/dmsg.key"
node_conf A controlplane "server s" "key=$SERVER" "address=10.1.1.1:$SERVER_PORT"
node_conf B controlplane "server s" "key=$SERVER" "address=10.1.2.1:$SERVER_PORT"
node_start S A B

session() { [ "$(sk "$1" -j show servers | jq -r '.[0].state')" = "${2:-open}" ]; }
wait_for 20 "session of A" session A
wait_for 20 "session of B" session B
same "server's key" "$(dmsg S server_pk)" "$SERVER"
same "clients" "$(dmsg S clients)" 2
same "sessions that S shows" "$(sk S -j show sessions | jq -r '.[].pk' | sort)" \
	"$(printf '%s\n' "${PK[A]}" "${PK[B]}" | sort)"
expect "ping" sk A dmsg ping
expect "ping by key" sk B dmsg ping "$SERVER" timeout=3s
same "address of A" "$(sk A dmsg ip)" 10.1.1.2
same "address of B" "$(sk B -j dmsg ip "$SERVER" timeout=3s)" '{"ip":"10.1.2.2"}'
! sk A dmsg ip "${PK[B]}" 2>"$T/refused.log" || fail "the address by a key that is no server"
expect "it says why" grep -q 'no \[server NAME\]' "$T/refused.log"

say "refused: nobody listens; nobody is there; nonsense"
! sk A dmsg dial "${PK[B]}:$PORT" </dev/null 2>"$T/refused.log" || fail "a port without listener"
expect "it says why" grep -q 'nobody listens on that port.*dmsg code 352' "$T/refused.log"
! sk A dmsg dial "${PK[S]}:$PORT" </dev/null 2>"$T/refused.log" || fail "a key without session"
! sk A dmsg dial "${PK[B]}:0" </dev/null 2>/dev/null || fail "port 0"
! sk S dmsg dial "${PK[B]}:$PORT" </dev/null 2>"$T/refused.log" || fail "S is no client"
expect "it says why" grep -q 'no dmsg client' "$T/refused.log"
same "no destination" "$(dmsg S no_destination)" 1

head -c "$BYTES" /dev/urandom >"$T/file"

say "$BYTES bytes from A to B"
carry A B "$PORT"
wait_for 5 "streams of S are over" dmsg_is S relays 0
for n in A B; do wait_for 5 "streams of $n are over" dmsg_is "$n" streams 0; done
same "relayed" "$(dmsg S relayed)" 1
expect "its bytes" test "$(dmsg S relayed_bytes)" -ge "$BYTES"

say "totals: what is not zero, and with -a all; JSON of a role that is not there"
expect "sessions" grep -q '^SESSIONS  *1$' <(sk A show dmsg)
! sk A show dmsg | grep -q ' 0$\| -$\|RELAYED' || fail "zeros are shown"
expect "all" grep -q '^RELAYED  *-$' <(sk A show dmsg -a)
expect "zeros, too" grep -q '^SESSIONS LOST  *0$' <(sk A show dmsg -a)
same "relayed by A" "$(dmsg A relayed)" null
same "servers of S" "$(dmsg S servers)" null

say "who stops waiting leaves no listener"
"$BIN/skyrail" -s "$T/B/run/control.sock" dmsg listen "$PORT" </dev/null >/dev/null 2>&1 &
waiting=$!
wait_for 10 "a listener" dmsg_is B listeners 2
! sk B dmsg listen "$PORT" </dev/null 2>/dev/null || fail "a port is listened on twice"
kill "$waiting"
wait "$waiting" 2>/dev/null || true
wait_for 5 "no listener" dmsg_is B listeners 1

say "a question and its answer on one stream, shown while it lasts"
mkfifo "$T/ask" "$T/answer"
sk B dmsg listen "$PORT" <"$T/answer" >"$T/asked" 2>"$T/listen.log" &
listener=$!
exec 7>"$T/answer"
wait_for 10 "a listener" dmsg_is B listeners 2
sk A dmsg dial "${PK[B]}:$PORT" <"$T/ask" >"$T/answered" 2>"$T/dial.log" &
dialler=$!
exec 8>"$T/ask"
echo question >&8
wait_for 10 "the question" grep -q question "$T/asked"
echo answer >&7
wait_for 10 "the answer" grep -q answer "$T/answered"
stream() { sk "$1" -j show streams | jq -r '.[] | "\(.kind) \(.src) \(.dst) \(.dst_port)"'; }
same "stream at A" "$(stream A)" "dialled ${PK[A]} ${PK[B]} $PORT"
same "stream at B" "$(stream B)" "accepted ${PK[A]} ${PK[B]} $PORT"
same "stream at S" "$(stream S)" "relayed ${PK[A]} ${PK[B]} $PORT"

say "the server is killed under it, and comes back"
node_kill S.cp KILL || true
wait_for 10 "A has lost it" session A waits
wait_for 10 "B's streams are gone" dmsg_is B streams 0
! wait "$dialler" || fail "a dial that was cut ended with 0"
! wait "$listener" || fail "a listener that was cut ended with 0"
for log in dial listen; do expect "$log says why" grep -q 'stream: cut: ' "$T/$log.log"; done
exec 7>&- 8>&-
cp_start S
wait_for 30 "session of A" session A
wait_for 30 "session of B" session B
same "sessions of A so far" "$(dmsg A sessions_opened)" 2
carry A B "$PORT"

say "the far end finishes first: what of the input is lost is told"
# first INPUT: B listens with that input and A says a word; its exit status is B's
first() {
	sk B dmsg listen "$PORT" <"$1" >"$T/asked" 2>"$T/listen.log" &
	listener=$!
	[ ! -p "$1" ] || exec 7>"$1"
	wait_for 10 "a listener" dmsg_is B listeners 2
	[ ! -p "$1" ] || printf '%s' "${2:-}" >&7
	# shellcheck disable=SC2094
	{ echo word; [ -z "${2:-}" ] || wait_for 10 "the input" grep -q "$2" "$T/answered" >&2; } |
		sk A dmsg dial "${PK[B]}:$PORT" >"$T/answered" 2>"$T/dial.log" || [ "$1" = "$T/file" ] || fail "dial: $?"
	wait "$listener"
}
! first "$T/file" || fail "a file that was not sent, and 0"
expect "it says so" grep -q 'the far end had finished before\|stream: cut: ' "$T/listen.log"
first "$T/answer" early || fail "an input that goes on, and of which all that came was sent: $?"
expect "it says so" grep -q 'input that is yet to come' "$T/listen.log"
first "$T/answer" || fail "an input without a byte: $?"
expect "it says so" grep -q 'input that is yet to come' "$T/listen.log"
first /dev/null || fail "no input: $?"
expect "not a word" test ! -s "$T/listen.log"
exec 7>&-

say "a server that has another key than the configuration says"
node_kill A.cp TERM || fail "control plane of A ended with $?"
node_conf A controlplane "server wrong" "key=$(node_key "$T/other.key")" "address=10.1.1.1:$SERVER_PORT"
cp_start A
wrong() { sk A -j show servers | jq -e '.[] | select(.pk == $k) | .opened == 0 and (.error | contains("another key"))' --arg k "$(node_key_of "$T/other.key")"; }
node_key_of() { "$BIN/skyrail" key show "$1" | grep -oE '0[23][0-9a-f]{64}' | head -n1; }
wait_for 20 "refused" wrong
wait_for 20 "the true one" session A
same "sessions" "$(dmsg A sessions)" 1
sk A show servers >"$T/servers.log"
expect "the table says why, below" grep -q "^wrong: closed in the handshake" "$T/servers.log"
expect "of the one that waits only" test "$(grep -c ': ' "$T/servers.log")" = 1
expect "S says whose" grep -q 'handshake failed: from=10\.1\.1\.2:[0-9]' "$T/S/controlplane.log"
expect "handshakes that S refused" test "$(dmsg S shakes_failed)" -ge 1
carry A B "$PORT"
logs_clean A B S
nodes_end A B S
