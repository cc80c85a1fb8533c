#!/bin/bash
# Our server and clients at the real discovery by themselves: published, found, looked up; killed and back with the next
# sequence; removed when they leave; and there again after the discovery has forgotten all.
#
#   [A] ours, [B] ours, [G] real, [H] real ---- [S: our server], [D: discovery]
. "$(dirname "$0")/_init.sh" redis-server dmsg-discovery dmsghttp dmsgcurl

real_net D=10 S=1 A=101 B=102 G=111 H=112
real_discovery
own_server S
for n in A B; do
	own_node $n
	node_conf $n controlplane dmsg "discovery=$DISC"
done
node_start S
wait_for 20 "S in the discovery" has_server "$SERVER"
node_start A B
for n in A B; do wait_for 30 "$n in the discovery" delegated "${PK[$n]}" "$SERVER"; done
head -c "$BYTES" /dev/urandom >"$T/file"
FILE_SUM=$(sha256sum <"$T/file")
real_key G
ln "$T/file" "$T/G/file"
pairs_sender
wait_for 30 "G in the discovery" delegated "${PK[G]}" "$SERVER"

say "looked up by ours, and ours by real clients"
own_get A "${PK[G]}:80" file "$T/copy"
whole "$T/copy" "ours from real"
own_serve B
curl_from "${PK[B]}:$DIALLED" "real from ours"
served

say "killed, and back"
sequence=$(entry "${PK[B]}" .sequence)
node_kill B.cp KILL || true
cp_start B
newer() { [ "$(entry "${PK[B]}" .sequence)" -gt "$sequence" ]; }
wait_for 30 "a newer entry of B" newer
wait_for 30 "B's session" own_session B

say "the discovery forgets all"
in_ns D redis-cli flushall >/dev/null
wait_for 100 "S is there again" has_server "$SERVER"
for n in A B; do wait_for 100 "$n is there again" delegated "${PK[$n]}" "$SERVER"; done
real_clean

say "they leave"
logs_clean S A B
gone() { [ "$(in_ns D curl -s -o /dev/null -w '%{http_code}' "$DISC/dmsg-discovery/entry/$1")" = 404 ]; }
nodes_end A B S
for n in "${PK[A]}" "${PK[B]}" "$SERVER"; do expect "its entry is gone" gone "$n"; done
