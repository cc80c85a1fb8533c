#!/bin/bash
# Our dmsg server with real clients and ours, in every mix; it is killed and comes back.
#
#   [A] dials  [H] dials ---- [S: our server] ---- [B] listens  [G] listens         A, B ours; H, G real
. "$(dirname "$0")/_init.sh" redis-server dmsg-discovery dmsghttp dmsgcurl

real_net D=10 S=1 A=101 B=102 G=111 H=112
real_discovery
own_server_up S
pairs_new "$SERVER" S ours
pairs_carry "at first" "$SERVER"

if have dmsgip "a real client asks for its address"; then
	real_run ip H dmsgip -c "$DISC"
	wait "${PID[ip]}" || fail "dmsgip"
	expect "address of H" grep -qF "${ADDR[H]}" "$T/ip/ip.log"
	row "real client (dmsgip) | ours | the server"
fi

say "a real client comes back while its old session lives on"
cut_off G
real_end G KILL
pairs_sender
wait_for 30 "both sessions of G" own_has S "${PK[G]}" 2
curl_from "${PK[G]}:80" "from the newest"
real_clean

say "the server is killed"
node_kill S.cp KILL || true
cp_start S
wait_for 90 "G is back" own_has S "${PK[G]}"
pairs_up "$SERVER"
pairs_carry "again" "$SERVER"
same "requests that were wrong" "$(sk S -j show dmsg | jq -r .bad_requests)" 0
logs_clean S A B
nodes_end S A B
