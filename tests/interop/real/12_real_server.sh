#!/bin/bash
# A real dmsg server with our clients and real ones, in every mix; it is killed and comes back.
#
#   [A] dials  [H] dials ---- [S: real server] ---- [B] listens  [G] listens        A, B ours; H, G real
. "$(dirname "$0")/_init.sh" redis-server dmsg-discovery dmsg-server dmsghttp dmsgcurl

real_net D=10 S=1 A=101 B=102 G=111 H=112
real_discovery
real_server R S
pairs_new "${PK[R]}" S
pairs_carry "at first" "${PK[R]}"
expect "ping" sk A dmsg ping
same "our address" "$(sk A dmsg ip)" "${ADDR[A]}"

say "our client comes back while its old session lives on: the server refuses it once"
cut_off A
node_kill A.cp KILL || true
cp_start A
second_session() { sk A -j show dmsg | jq -e '.sessions_opened >= 2 and .sessions == 1'; }
wait_for 60 "A's second session" second_session
own_get A "${PK[G]}:80" file "$T/copy"
whole "$T/copy" "ours from real"

say "the server is killed"
real_end R KILL
wait_for 10 "A has lost it" test "$(sk A -j show dmsg | jq -r .sessions)" = 0
real_server R S
pairs_up "${PK[R]}"
pairs_carry "again" "${PK[R]}"
logs_clean A B
nodes_end A B
