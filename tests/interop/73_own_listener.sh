#!/bin/bash
# Route groups that are dialled in Go, of 2024 and of 2026, to an end of ours, over one node of ours and over two, by rails too, laid
# by set-up nodes in Go (100 MiB both ways at once) and of ours: who closes, what is said, and what is not sealed.
. "$(dirname "$0")/_edges.sh"

exec 8<>"$T/held" # what holds an input open

# listen IN: one route to port 7 of A; HEARER
listen() {
	sk A route listen 7 <"$1" >"$T/heard" 2>"$T/listen.log" 8>&- 9>&- &
	HEARER=$!
	wait_for 10 "a listener" listens 7
}
# answered FILE SETUP 2024|2026 VIA HOPS "MIDDLE by TYPE": Go closes when all has come and gone
answered() {
	local size
	say "$6, laid by $2, $3"
	size=$(stat -c %s "$1")
	exec 9<>"$T/in"
	listen "$T/in"
	cat "$1" >&9 &
	go_group "${SETUP[$2]}" "${4:0:1}" -gen "$3" -pq -via "$(keys "$4")" -hops "$5" -expect "$size" "${PK[A]}:7" \
		<"$1" >"$T/copy" || fail "$6: $(tail -n3 "$T/ga.log") $(cat "$T/listen.log")"
	wait $HEARER || fail "$6: $(cat "$T/listen.log")"
	exec 9>&-
	expect "the same, to us, $6" cmp "$1" "$T/heard"
	expect "the same, to Go, $6" cmp "$1" "$T/copy"
	row "Go $3, group by stcp | $6, laid by $2 | ours"
}
declare -A SETUP=([Go]=gu [ours]=ours)
all_ways() { # FILE SETUP GENERATION GENERATION
	answered "$1" "$2" "$3" N stcp,rail "ours, by rail"
	answered "$1" "$2" "$4" M stcp,stcp "ours, by stcp"
	answered "$1" "$2" "$4" N,M stcp,rail,stcp "ours - rail - ours, by stcp"
	answered "$1" "$2" "$3" M,N stcp,rail,rail "ours - rail - ours, by rail"
	wait_for 20 "no rules are left" no_rules
}
all_ways "$T/file" Go 2024 2026
all_ways "$T/small" ours 2026 2024

N=${PK[N]}
say "our end closes"
listen "$T/small"
go_group gu N -via "$N" -hops stcp,rail -expect 5000000 "${PK[A]}:7" <"$T/held" >"$T/copy" || fail "dial: $(tail -n3 "$T/ga.log")"
wait $HEARER || fail "listen: $(cat "$T/listen.log")"
expect "the same, to Go" cmp "$T/small" "$T/copy"
expect "how it ended there" grep -q "over: EOF" "$T/ga.log"
wait_for 20 "no rules are left" no_rules

say "what is refused, and in whose words"
bad() { if go_group "$@" -keep 5s "$TO" </dev/null >"$T/out"; then fail "a group that should not be"; fi; }
TO=${PK[A]}:9
bad gu N -via "$N" -hops stcp,rail
why "no listener on port 9, service offline" "$T/ga.log"
TO=${PK[A]}:7
for by in gu ours; do
	bad $by N -via "$N" -hops stcp,stcpr
	why "no such transport here" "$T/ga.log"
done
node_conf N controlplane routing no_transit=yes
sk N config reload >"$T/reload.log"
for by in gu ours; do
	bad $by N -via "$N" -hops stcp,rail
	why "failure code 1 (visor does not transit routes)" "$T/ga.log"
done
sed -i 's/no_transit = yes/no_transit = no/' "$T/N/controlplane.ini"
sk N config reload >"$T/reload.log"

say "who does not seal is not taken"
plain() { [ "$(sk A -j show groups | jq '[.[] | select(.reason // "" | contains("does not seal the route, and plaintext is not"))] | length')" = "$1" ]; }
listen /dev/null
for how in 1:-plain "2:-fault no-hello"; do
	# shellcheck disable=SC2086
	bad gu N -via "$N" -hops stcp,rail ${how#*:}
	wait_for 10 "why" plain "${how%%:*}"
done
expect "who listens goes on" listens 7

say "where plaintext is allowed it is taken"
node_conf A controlplane routing allow_plaintext=yes
node_kill A.cp TERM
wait $HEARER || true
cp_start A
edges_up
for how in -plain "-fault no-hello"; do # the latter begins with a byte instead of a Handshake
	exec 9<>"$T/in"
	listen "$T/in"
	cat "$T/small" >&9 &
	# shellcheck disable=SC2086
	go_group gu N $how -via "$N" -hops stcp,rail -expect 5000000 "${PK[A]}:7" <"$T/small" >"$T/copy" ||
		fail "$how: $(tail -n3 "$T/ga.log") $(cat "$T/listen.log")"
	wait $HEARER || fail "$how: $(cat "$T/listen.log")"
	exec 9>&-
	{ [ "$how" = -plain ] || printf x; cat "$T/small"; } >"$T/sent"
	expect "the same, to us, $how" cmp "$T/sent" "$T/heard"
	expect "the same, to Go, $how" cmp "$T/small" "$T/copy"
done
wait_for 20 "no rules are left" no_rules

logs_clean A N M U
nodes_end A N M U
peers_end gs gu gc gd gr
