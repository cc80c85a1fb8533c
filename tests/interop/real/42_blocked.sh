#!/bin/bash
# The way back from the far end is blocked while a route is set up, for less and for more than the 2 s after which a visor
# takes its far end for one that does not seal: with our node as initiator, as responder and in the middle. No visor may
# stop to take routes by what we do.
#
#   N - M =gate= X      V - M =gate= N      V - N =gate= X       V, X: visors; N, M: ours
. "$(dirname "$0")/_routes.sh" dmsg-server setup-node

GATE=198.51.100.254
routes_new
routes_setup real
routes_start

# gate_to NAME: what is dialled at the gate goes there
gate_to() {
	[ -z "${PID[gate]:-}" ] || real_end gate
	rm -f "$T/gate/gate.log"
	real_run gate W python3 "$PWD/tests/interop/real/gate.py" $GATE 7777 "${ADDR[$1]}" 7777 "$T/seconds"
	wait_for 10 "the gate" grep -q open "$T/gate/gate.log"
}
# blocked SECONDS COMMAND...: the gate is shut for so long from the first packet of a route back
blocked() {
	echo "$1" >"$T/seconds"
	kill -USR1 "${PID[gate]}"
	"${@:2}" >"$T/dialled" 2>&1
}
# of_visor OTHER: V's dial, a page and the end of it
of_visor() {
	local rc=0
	group_from V "$1" || return 1
	group_get V || rc=1
	group_end V || true
	return $rc
}

say "initiator"
gate_to X
link stcp N M
sk M transport add stcp-X "peer=${PK[X]}" type=stcp "address=$GATE:7777" >/dev/null
wait_for 40 "M - X" tp_up M stcp-X
wait_for 20 "M - X, registered" has_tps M X stcp 1
for s in 1.5 2.5; do
	blocked $s group_to N X min-hops=2 || fail "blocked for $s s: $(cat "$T/dialled")"
	wait_for 20 "no rules at M" no_rules M
done
blocked 6 group_to N X min-hops=2 || say "blocked for 6 s: $(cat "$T/dialled")"
wait_for 60 "no rules at M" no_rules M
expect "X takes a route after it" group_to N X min-hops=2
sk M transport del stcp-X >/dev/null
unlink stcp N M
fit "initiator"

say "responder"
gate_to N
link stcp V M
sk M transport add stcp-N "peer=${PK[N]}" type=stcp "address=$GATE:7777" >/dev/null
wait_for 40 "M - N" tp_up M stcp-N
wait_for 20 "M - N, registered" has_tps M N stcp 1
for s in 1.5 2.5 6; do
	serve N
	if ! blocked $s of_visor N; then
		[ $s != 1.5 ] || fail "blocked for $s s: $(cat "$T/dialled")"
		say "blocked for $s s: $(sk N -j show groups | jq -r '[.[] | select(.state == "ended")][0].reason')"
	fi
	kill $SERVING 2>/dev/null || true
	wait $SERVING 2>/dev/null || true
	wait_for 60 "no rules at M" no_rules M
done
sk M transport del stcp-N >/dev/null
unlink stcp V M
fit "responder"

say "in the middle"
gate_to X
link stcp V N
sk N transport add stcp-X "peer=${PK[X]}" type=stcp "address=$GATE:7777" >/dev/null
wait_for 40 "N - X" tp_up N stcp-X
wait_for 20 "N - X, registered" has_tps N X stcp 1
blocked 1.5 of_visor X || fail "blocked for 1.5 s: $(cat "$T/dialled")"
wait_for 60 "no rules at N" no_rules N
for s in 2.5 6; do
	# V goes to plaintext, whatever we do, and X's noise handshake fails: it takes no more routes until it starts again
	blocked $s of_visor X && say "blocked for $s s: a group all the same"
	wait_for 60 "no rules at N" no_rules N
done
say "X: $(grep -aE 'serveRouteGroup stopped|Failed to accept' "$T/X/X.log" | tail -n1)"
visor_end X
visor_back X
sk N transport del stcp-X >/dev/null
unlink stcp V N
fit "in the middle"
for r in "ours | ours | visor" "visor | ours | ours" "visor | ours | visor"; do row "${r%% *}, its way back blocked |${r#* |}"; done
logs_clean N M
nodes_end N M
