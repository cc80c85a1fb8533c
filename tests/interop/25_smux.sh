#!/bin/bash
# Our clients by smux: their entries tell it before they dial, a server in Go looks for it there, ours sees it by
# the first byte.
#
#   [A] ours, smux ---- [gs: Go server] ---- [B] ours, smux; [gb] Go       [gd: Go discovery]
#   [C] ours, smux ---- [S: ours] ---------- [E] ours, yamux
. "$(dirname "$0")/_init.sh"

peers_net gd gs S A B C E gb
go_discovery gd -gen 2026
go_server gs -gen 2026 -discovery "$DISC"
own_server S
own_client A gs
own_client B gs
own_client C S
own_client E S
for n in A B C E; do node_conf $n controlplane dmsg "discovery=$DISC" sessions=1; done
for n in A B C; do sed -i '/^sessions = 1/a mux = smux' "$T/$n/controlplane.ini"; done
go_key gb
node_start S A B C E
muxer_told() { in_ns gd curl -sS -m 5 "$DISC/dmsg-discovery/entry/${PK[$1]}" | jq -r '.protocol // "none"'; }
for n in A B C E; do wait_for 20 "$n's session" own_open $n 1; done
for n in A B C; do same "entry of $n" "$(muxer_told $n)" smux; done
same "entry of E" "$(muxer_told E)" none

say "the marker is the round trip"
measured() { sk "$1" -j show servers | jq -e '.[0].rtt_us > 0'; }
for n in A B C; do
	wait_for 10 "round trip of $n" measured $n
	expect "ping of $n" sk $n dmsg ping
done
same "markers at S" "$(sk S -j show dmsg | jq .pings)" 2
same "own address" "$(sk A dmsg ip)" "${IP[A]}"

carry "ours, smux | Go 2026 | ours, smux" A "" B ""
carry "ours, smux | Go 2026 | Go 2024, yamux" A "" gb "-server ${SERVER[gs]} -discovery $DISC"
carry "ours, smux | ours | ours" C "" E ""
carry "ours | ours | ours, smux" E "" C ""

say "the server in Go is killed, and comes back"
node_kill gs KILL || true
wait_for 20 "A sees it" own_open A 0
go_server gs -gen 2026 -discovery "$DISC"
wait_for 30 "A's session again" own_open A 1
wait_for 10 "round trip again" measured A
logs_clean S A B C E
nodes_end S A B C E
peers_end gs gd
