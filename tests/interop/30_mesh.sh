#!/bin/bash
# Servers that are joined, ours and Go's: a client of one reaches a client of the other; one hop, and no more.
#
#   [A] ours ---- [S: ours] ==== [gs: Go] ==== [R: ours] ---- [C] ours
#   [ga] Go -----/                  \---- [gb] Go, [B] ours
. "$(dirname "$0")/_init.sh"

peers_net S gs R A B C ga gb
go_key gs
own_server S
own_server R
gs_at=${PK[gs]}@${IP[gs]}:8081
for n in S R; do
	node_conf $n controlplane "peer_server gs" "key=${PK[gs]}" "address=${gs_at#*@}"
done
go_server gs -peer "${SERVER[S]}" -peer "${SERVER[R]}"
own_client A S
own_client B gs
own_client C R
go_key ga
go_key gb
node_start S R A B C
for n in A B C; do wait_for 20 "$n's session" own_open $n 1; done
joined() { [ "$(grep -c joined "$T/gs/server.log")" -ge 2 ]; }
wait_for 30 "servers are joined" joined
peered() { [ "$(sk "$1" -j show servers | jq 'map(select(.state == "open")) | length')" -ge 1 ]; }
wait_for 30 "S has joined gs" peered S
wait_for 30 "R has joined gs" peered R

carry "ours | ours = Go | ours" A "" B ""
carry "ours | Go = ours | ours" B "" A ""
carry "Go 2024, yamux | ours = Go | Go 2024, yamux" ga "-server ${SERVER[S]}" gb "-server ${SERVER[gs]}"
carry "Go 2024, yamux | Go = ours | ours" gb "-server ${SERVER[gs]}" C ""

say "from S by gs to R would be two hops"
listens C "" </dev/null >/dev/null &
pid=$!
wait_for 10 "a listener" own_listens C
! dials A "" "${PK[C]}:$PORT" </dev/null >/dev/null || fail "two hops"
kill $pid 2>/dev/null || true
wait $pid 2>/dev/null || true
logs_clean S R A B C
nodes_end S R A B C
peers_end gs
