#!/bin/bash
# Two dmsg servers publish themselves at a discovery, two clients that know only that find them, are
# published, and reach each other by key; entries go when nodes end; the discovery is killed and
# comes back empty; one that talks nonsense disturbs nobody.
#
#   [A] ---- [S: dmsg server, discovery, router] ---- [B]
#                      |
#            [R: dmsg server]
. "$(dirname "$0")/_init.sh"

BYTES=5000000 PORT=4000 SERVER_PORT=8081 URL=http://10.1.1.1:9090

net_add A B S R
net_link A a0 10.1.1.2/24 S s0 10.1.1.1/24
net_link B b0 10.1.2.2/24 S s1 10.1.2.1/24
net_link R r0 10.1.3.2/24 S s2 10.1.3.1/24
in_ns S sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
in_ns A ip route add default via 10.1.1.1
in_ns B ip route add default via 10.1.2.1
in_ns R ip route add default via 10.1.3.1
node_new S s0 s1 s2
node_new R r0
node_new A a0
node_new B b0
declare -A KEY ADDRESS=([S]=10.1.1.1 [R]=10.1.3.2)
for n in S R; do
	KEY[$n]=$(node_key "$T/$n/dmsg.key")
	node_conf "$n" controlplane dmsg_server "listen=0.0.0.0:$SERVER_PORT" "key_file=$T/$n/dmsg.key" \
		"public_address=${ADDRESS[$n]}:$SERVER_PORT" "discovery=$URL"
done
node_conf A controlplane dmsg "discovery=$URL" "sessions=1"
node_conf B controlplane dmsg "discovery=$URL" "sessions=1"

discovery() {
	ip netns exec S python3 tests/support/dmsg_discovery.py 10.1.1.1 9090 >>"$T/discovery.log" 2>&1 &
	DISCOVERY=$!
}
ask() { in_ns S curl -sS -m 5 "$URL/dmsg-discovery/$1"; }
entry() { ask "entry/$1" | jq -r "$2"; }
listed() { sk "$1" -j show discoveries | jq -e '.[0].listed and .[0].error == ""'; }
n_servers() { [ "$(entry "${PK[$1]}" '.client.delegated_servers | length')" = "$2" ]; }
gone() { [ "$(entry "$1" .code)" = 404 ]; }

say "mistakes in the configuration are told"
printf '[dmsg]\ndiscovery = ftp://x, dmsg://12\n' >"$T/bad.ini"
! "$BIN/skyrail-controlplane" --check-config -c "$T/bad.ini" 2>"$T/bad.log" || fail "bad URLs are taken"
expect "the first" grep -q 'ftp://x is no URL' "$T/bad.log"
expect "the second" grep -q 'dmsg://12 is no dmsg://' "$T/bad.log"

discovery
node_start S R
wait_for 20 "S is published" listed S
wait_for 20 "R is published" listed R
same "address of R" "$(entry "${KEY[R]}" .server.address)" "10.1.3.2:$SERVER_PORT"
node_start A B
wait_for 20 "A is published with its server" n_servers A 1
wait_for 20 "B is published with its server" n_servers B 1
same "type of A" "$(entry "${PK[A]}" .client_type)" visor
same "kind of its server" "$(sk A -j show servers | jq -r '.[].kind')" found

head -c "$BYTES" /dev/urandom >"$T/file"

say "by key alone, either way, whichever servers they have"
carry A B "$PORT"
carry B A "$PORT"
! sk A dmsg dial "${PK[S]}:$PORT" </dev/null 2>"$T/refused.log" || fail "a key that is not published"
expect "it says why" grep -q 'dmsg code 100' "$T/refused.log"
! sk A dmsg dial "${KEY[R]}:$PORT" </dev/null 2>"$T/refused.log" || fail "a server's key"
expect "it says why" grep -q 'dmsg code 102' "$T/refused.log"

say "a server that ends is not listed any more, and its clients go to the other"
node_kill R.cp TERM || fail "control plane of R ended with $?"
expect "R's entry is gone" gone "${KEY[R]}"
only_s() { [ "$(entry "${PK[$1]}" '.client.delegated_servers | join(" ")')" = "${KEY[S]}" ]; }
wait_for 40 "A is at S" only_s A
wait_for 40 "B is at S" only_s B
carry A B "$PORT"

say "the discovery is killed: sessions last, and so do streams"
kill -KILL "$DISCOVERY"
wait "$DISCOVERY" 2>/dev/null || true
carry B A "$PORT"
! sk B dmsg dial "${PK[R]}:$PORT" </dev/null 2>"$T/refused.log" || fail "a key that is nowhere"
expect "its server was asked" grep -q 'dmsg code 352' "$T/refused.log"
expect "B counts it" test "$(dmsg B dir_failed)" -ge 1
discovery
cp_start R
wait_for 20 "R is published" listed R
node_kill A.cp TERM || fail "control plane of A ended with $?"
cp_start A
wait_for 20 "A is published again" n_servers A 1

say "an end removes the entry, also of one that has just begun"
node_kill A.cp TERM || fail "control plane of A ended with $?"
expect "A's entry is gone" gone "${PK[A]}"

say "a discovery that answers nonsense: a configured server does"
node_kill B.cp TERM || fail "control plane of B ended with $?"
ip netns exec S python3 -m http.server --bind 10.1.2.1 --directory "$T/S" 9091 >"$T/http.log" 2>&1 &
WEB=$!
sed -i '/^\[dmsg\]/,/^sessions/d' "$T/B/controlplane.ini"
node_conf B controlplane dmsg "discovery=http://10.1.2.1:9091" "sessions=1"
node_conf B controlplane "server s" "key=${KEY[S]}" "address=10.1.2.1:$SERVER_PORT"
node_conf B controlplane routing "route_finder=dmsg://${PK[S]}:80"
cp_start B
wait_for 20 "session of B" dmsg_is B sessions 1
! sk B route find "${PK[A]}" 2>"$T/find.log" || fail "a route finder that nobody is"
expect "whom it does not reach: $(<"$T/find.log")" grep -q 'route finder: nobody listens there by dmsg' "$T/find.log"
wrong() { sk B -j show discoveries | jq -e '.[0].failed > 0 and .[0].error != "" and (.[0].listed | not)'; }
wait_for 20 "B says what is wrong" wrong
counted() { sk "$1" -j show counters | jq -e --arg c "$2" 'any(.name == $c and .value > 0)' >/dev/null; }
expect "its requests are counted" counted B dir_requests
expect "so are answers of no use" counted B drop_dir_answers
sed -i 's/^sessions = 1/sessions = 2/' "$T/A/controlplane.ini"
cp_start A
wait_for 20 "A is published with both servers" n_servers A 2
carry B A "$PORT"

say "a discovery behind dmsg that waits for a session says so, and is named whole"
node_kill B.cp TERM || fail "control plane of B ended with $?"
sed -i '/^\[dmsg\]/,$d' "$T/B/controlplane.ini"
node_conf B controlplane dmsg "discovery=dmsg://${KEY[R]}:65535"
node_conf B controlplane "server s" "key=${KEY[S]}" address=10.1.2.1:1
cp_start B
waiting() { sk B -j show discoveries | jq -e --arg u "$1" '.[0].name == $u and (.[0].note | contains("waits for a session"))'; }
wait_for 10 "it says so" waiting "dmsg://${KEY[R]}:65535"
expect "the table, too" grep -q "^dmsg://${KEY[R]}:65535: waits for a session" <(sk B show discoveries)

say "a discovery that is gone: an entry that was there is not renewed, and why is told"
kill "$WEB" "$DISCOVERY"
wait "$WEB" "$DISCOVERY" 2>/dev/null || true
node_kill S.cp TERM || fail "control plane of S ended with $?"
not_renewed() { sk A -j show discoveries | jq -e '.[0].note | startswith("not renewed: ")'; }
wait_for 20 "A says so" not_renewed
cp_start S
nodes_end A B S R
