#!/bin/bash
# Servers that find each other at a discovery, and name no peer: ours with mesh_discover and Go's, which has all that
# are listed for peers, as servers of 2026 do. One of ours that does not look is joined by nobody, though the others dial it.
#
#   [A] ours, [ga] Go ---- [S: ours] ==== [gs: Go] ---- [B] ours, [gb] Go        [gd: Go discovery] lists S, gs and R
#                             [R: ours, does not look] ---- [C] ours
. "$(dirname "$0")/_init.sh"

peers_net gd S gs R A B C ga gb
go_discovery gd
go_server gs -gen 2026 -discovery "$DISC" -public "${IP[gs]}:8081" -discover
own_server S "discovery=$DISC" "public_address=${IP[S]}:8081" mesh_discover=yes
own_server R "discovery=$DISC" "public_address=${IP[R]}:8081"
own_client A S
own_client B gs
own_client C R
go_key ga
go_key gb
node_start S R A B C
for n in A B C; do wait_for 20 "$n's session" own_open $n 1; done
mesh() { sk "$1" -j show servers | jq -r '.[] | select(.kind | startswith("mesh")) | "\(.kind) \(.state) \(.pk)"' | sort; }
both_found() { [ "$(mesh S)" = "$(printf 'mesh found open %s\n' "${PK[gs]}" "${SERVER[R]%@*}" | sort)" ]; }
wait_for 40 "S has found both" both_found
joined() { grep -q "${SERVER[S]%@*}: joined" "$T/gs/server.log"; }
wait_for 40 "gs has joined S" joined
same "servers found by S" "$(sk S -j show counters dmsg_mesh_found | jq '.[0].value')" 2
same "peers of R" "$(mesh R)" ""

carry "ours | ours = Go, found | ours" A "" B ""
carry "Go 2024, yamux | Go = ours, found | ours" gb "-server ${SERVER[gs]}" A ""
carry "Go 2024, yamux | ours = Go, found | Go 2024, yamux" ga "-server ${SERVER[S]}" gb "-server ${SERVER[gs]}"

say "R did not ask for it: it takes no foreign source"
listens C "" </dev/null >/dev/null 2>&1 &
pid=$!
wait_for 10 "a listener" own_listens C
! dials A "" "${PK[C]}:$PORT" </dev/null >/dev/null || fail "a foreign source at R"
expect "it is refused there" test "$(sk R -j show dmsg | jq .bad_requests)" -ge 1
kill $pid 2>/dev/null || true
wait $pid 2>/dev/null || true

say "gs is killed, and comes back"
node_kill gs KILL || true
gone() { [ "$(mesh S | grep -c open)" = 1 ]; }
wait_for 20 "S sees it" gone
go_server gs -gen 2026 -discovery "$DISC" -public "${IP[gs]}:8081" -discover
wait_for 70 "S has it again" both_found
wait_for 30 "B's session again" own_open B 1
carry "ours | ours = Go, found, after a kill | ours" A "" B ""
logs_clean S R A B C
nodes_end S R A B C
peers_end gs gd
