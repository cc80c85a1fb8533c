#!/bin/bash
# Real clients across two servers of ours that are joined: they notice nothing. A real server named as a third peer
# carries nothing (it refuses what is not from the session's own key), and harms nobody.
#
#   [A] ours, dials ---- [M: our server] ---- [S: our server] ---- [G] real, listens; [H] real, dials
#   [B] ours, listens -------+    +----------------------------------- [R: real server] ---- [L] real, listens
. "$(dirname "$0")/_init.sh" redis-server dmsg-discovery dmsg-server dmsghttp dmsgcurl

real_net D=10 S=1 M=2 R=3 A=101 B=102 G=111 H=112 L=113
real_discovery
own_server S
AT_S=$SERVER
own_server M '' # only S is known there, so G and H go to it
AT_M=$SERVER
real_key R
# peers ONE KEY OTHER KEY: each names the other
peers() {
	node_conf "$1" controlplane "peer_server $3" "key=$4" "address=${ADDR[$3]}:8081"
	[ "$3" = R ] || node_conf "$3" controlplane "peer_server $1" "key=$2" "address=${ADDR[$1]}:8081"
}
peers S "$AT_S" M "$AT_M"
peers M "$AT_M" R "${PK[R]}"
own_node A
own_knows A "$AT_M" M
own_client B "$AT_S" S
node_start S M A B
wait_for 30 "B in the discovery" delegated "${PK[B]}" "$AT_S"
say "B moves from S to M, and its entry stays: real clients look for it at S"
node_kill B.cp KILL || true
sed -i '/^\[server S]/,/^$/d; /^\[dmsg]/,/^$/d' "$T/B/controlplane.ini"
own_knows B "$AT_M" M
cp_start B
wait_for 20 "the end of B's session at S" own_has S "${PK[B]}" 0
head -c "$BYTES" /dev/urandom >"$T/file"
FILE_SUM=$(sha256sum <"$T/file")
for n in G L; do
	real_key $n
	ln "$T/file" "$T/$n/file"
done
real_run G G dmsghttp -d "$T/G" -D "$DISC" -s "${SK[G]}"
wait_for 30 "G in the discovery" delegated "${PK[G]}" "$AT_S"

peers_of() { [ "$(sk "$1" -j show dmsg | jq -r .peers)" = "$2" ]; }
mesh() { sk "$1" -j show dmsg | jq -r ".mesh_$2"; }
# across WHEN
across() {
	say "$1: ours dials, across the mesh, a real client sends"
	own_get A "${PK[G]}:80" file "$T/copy"
	whole "$T/copy" "ours from real"
	row "our client | ours = ours | real client (dmsghttp)"
	say "$1: a real client dials, across the mesh, ours sends"
	own_serve B
	curl_from "${PK[B]}:$DIALLED" "real from ours"
	served
	row "real client (dmsgcurl) | ours = ours | our client"
	real_clean
}
wait_for 20 "peers of S" peers_of S 1
wait_for 20 "sessions of A" own_session A
wait_for 20 "sessions of B" own_session B
across "at first"
same "streams out of M, into M" "$(mesh M out) $(mesh M in)" "1 1"

say "a server of the mesh is killed"
node_kill S.cp KILL || true
cp_start S
wait_for 90 "G is back" own_has S "${PK[G]}"
wait_for 90 "M is back at S" peers_of S 1
wait_for 90 "S is back at M" peers_of M 1
across "again"
say "a real server as a peer"
logs_clean S
nodes_end S
wait_for 10 "S is no peer of M any more" peers_of M 0
real_server R R
real_run L L dmsghttp -d "$T/L" -D "$DISC" -s "${SK[L]}"
wait_for 30 "L in the discovery" delegated "${PK[L]}" "${PK[R]}"
wait_for 90 "R as a peer of M" peers_of M 1
! sk A dmsg dial "${PK[L]}:80" </dev/null >/dev/null 2>"$T/refused.log" || fail "R has passed on what is not ours"
wait_for 10 "R says why" grep -q 'invalid source public key\|dmsg error 302' "$T/R/R.log"
row "our client | ours = real | real client (dmsghttp)"
real_clean
logs_clean M A B
nodes_end M A B
