#!/bin/bash
# A real dmsg server with our clients and real ones, in every mix; it is killed and comes back.
#
#   [A] dials  [H] dials ---- [S: real server] ---- [B] listens  [G] listens        A, B, E ours; H, G real
#                 [E] ours, which knows its discovery by dmsg only ---- [D]
. "$(dirname "$0")/_init.sh" redis-server dmsg-discovery dmsg-server dmsghttp dmsgcurl

real_net D=10 S=1 A=101 B=102 E=103 G=111 H=112
real_discovery
real_server R S
pairs_new "${PK[R]}" S real
pairs_carry "at first" "${PK[R]}"
expect "ping" sk A dmsg ping
same "our address" "$(sk A dmsg ip)" "${ADDR[A]}"

say "a discovery by dmsg"
real_dmsg_discovery "${PK[R]}"
own_by_dmsg E "${PK[R]}" S
own_get E "${PK[G]}:80" file "$T/copy"
whole "$T/copy" "looked up by dmsg"
row "our client | real | discovery by dmsg"
logs_clean E
own_leaves E
real_end disc2

# The server refuses the new session, takes the next one, and forgets it when the old one ends, after which nobody
# would reach us there: so ours comes back when the old one is over.
say "our client comes back while its old session lives on"
cut_off A
node_kill A.cp KILL || true
cp_start A
stopped() { [ "$(grep -c "Stopped session.*${PK[A]}" "$T/R/R.log")" -ge "$1" ]; }
wait_for 30 "the refusal" stopped 1
wait_for 60 "the end of the old session" stopped 2
wait_for 60 "A's session" own_session A
sk A dmsg listen $DIALLED </dev/null >"$T/copy" &
listener=$!
wait_for 10 "a listener" own_listens A
sk B dmsg dial "${PK[A]}:$DIALLED" <"$T/file" >/dev/null || fail "A is not reached: $?"
wait "$listener" || fail "listen: $?"
whole "$T/copy" "to a client that came back"

say "the server is killed"
real_end R KILL
wait_for 10 "A has lost it" dmsg_is A sessions 0
real_server R S
pairs_up "${PK[R]}"
pairs_carry "again" "${PK[R]}"
logs_clean A B
nodes_end A B
