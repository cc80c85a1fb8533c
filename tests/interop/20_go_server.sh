#!/bin/bash
# Our clients, and Go's, at a dmsg server in Go, which is killed and comes back.
#
#   [A] ours ---+---- [gs: Go server] ----+---- [B] ours
#   [ga] Go ----+                         +---- [gb] Go
. "$(dirname "$0")/_init.sh"

peers_net gs A B ga gb
go_server gs
own_client A gs
own_client B gs
go_key ga
go_key gb
node_start A B
wait_for 20 "A's session" own_open A 1
wait_for 20 "B's session" own_open B 1
at="-server ${SERVER[gs]}"

carry "ours | Go 2024 | ours" A "" B ""
carry "ours | Go 2024 | Go 2024, yamux" A "" gb "$at"
carry "Go 2026, yamux, ML-KEM offer | Go 2024 | ours" ga "$at -gen 2026 -pq" B ""
same "own address" "$(sk A dmsg ip)" "${IP[A]}"
expect "ping" sk A dmsg ping

say "the server is killed"
node_kill gs KILL || true
wait_for 20 "A sees it" own_open A 0
go_server gs -gen 2026
wait_for 30 "A's session again" own_open A 1
wait_for 30 "B's session again" own_open B 1
carry "ours | Go 2026, after a kill | ours" A "" B ""
carry "Go 2024, yamux | Go 2026, after a kill | ours" ga "$at" B ""
logs_clean A B
nodes_end A B
peers_end gs
