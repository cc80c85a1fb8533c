#!/bin/bash
# Go clients and ours at our dmsg server, by each muxer and in the words of each generation; it is killed and
# comes back.
#
#   [ga] Go ----+---- [S: our server] ----+---- [gb] Go
#   [A] ours ---+                         +---- [B] ours
. "$(dirname "$0")/_init.sh"

peers_net S A B ga gb
own_server S
own_client A S
own_client B S
go_key ga
go_key gb
node_start S A B
wait_for 20 "A's session" own_open A 1
wait_for 20 "B's session" own_open B 1
at="-server ${SERVER[S]}"

carry "Go 2024, yamux | ours | Go 2024, yamux" ga "$at" gb "$at"
carry "Go 2026, smux 2, ML-KEM offer | ours | Go 2026, smux 2, ML-KEM offer" ga "$at -mux smux2 -gen 2026 -pq" gb "$at -mux smux2 -gen 2026 -pq"
carry "Go 2024, smux 1 | ours | Go 2026, yamux" ga "$at -mux smux1" gb "$at -gen 2026"
carry "ours | ours | Go 2024, yamux" A "" gb "$at"
carry "ours | ours | Go 2026, smux 2, ML-KEM offer" A "" gb "$at -mux smux2 -gen 2026 -pq"
carry "Go 2024, yamux | ours | ours" ga "$at" B ""
carry "Go 2026, smux 2, ML-KEM offer | ours | ours" ga "$at -mux smux2 -gen 2026 -pq" B ""

say "who closes his connection behind his last byte is heard to the end, also by one who reads slowly"
slowly() {
	while head -c 65536 >"$T/part" && [ -s "$T/part" ]; do
		cat "$T/part"
		sleep 0.05
	done
}
head -c 3000000 "$T/file" >"$T/short"
for mux in yamux smux1 smux2; do
	: >"$T/listen.log"
	listens B "" </dev/null | slowly >"$T/copy" &
	pid=$!
	wait_for 10 "a listener, $mux" listener_is_up B
	dials ga "$at -mux $mux -abrupt" "${PK[B]}:$PORT" <"$T/short" >/dev/null || fail "dial, $mux: $(tail -n3 "$T/dial.log")"
	wait $pid || fail "listen, $mux"
	same "checksum, $mux" "$(sha256sum <"$T/copy")" "$(sha256sum <"$T/short")"
done
same "streams that were cut" "$(sk S -j show counters | jq '.[] | select(.name == "drop_dmsg_undelivered").value')" 0

say "own address, and the marker"
for mux in yamux smux1 smux2; do
	# shellcheck disable=SC2086
	same "address, $mux" "$(go_peer ga ip $at -mux $mux 2>/dev/null)" "${IP[ga]}"
	# shellcheck disable=SC2086
	expect "ping, $mux" go_peer ga ping $at -mux $mux >/dev/null
done
expect "they are counted" test "$(sk S -j show dmsg | jq .pings)" -ge 3

say "who is not there, and a port where nobody listens, end the stream and nothing else"
! dials ga "$at" "${PK[gb]}:$PORT" </dev/null >/dev/null || fail "a stream to nobody"
! dials ga "$at" "${PK[B]}:1" </dev/null >/dev/null || fail "a stream without listener"

node_kill S.cp KILL || true
cp_start S
wait_for 30 "A's session again" own_open A 1
wait_for 30 "B's session again" own_open B 1
carry "ours | ours, after a kill | ours" A "" B ""
carry "Go 2024, yamux | ours, after a kill | ours" ga "$at" B ""
same "wrong requests" "$(sk S -j show dmsg | jq .bad_requests)" 0
logs_clean S A B
nodes_end S A B
