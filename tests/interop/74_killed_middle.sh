#!/bin/bash
# The control plane in the middle of a route is killed while a stream between ends in Go flows. Between rails that costs nothing;
# over stcp both ends are told, the transports are back by one dial each, and so is the route.
. "$(dirname "$0")/_edges.sh"

N=${PK[N]} M=${PK[M]} A=${PK[A]}
flows() { [ "$(sk N -j show rules | jq '[.[].packets] | add // 0')" -gt 2000 ]; }
kills_N() {
	wait_for 20 "a stream" flows
	node_kill N.cp KILL || true
}

say "between rails"
go_group gu M -via "$M,$N,$A" -hops stcp,rail,rail,stcp -gen 2026 -expect "$BYTES" "${PK[gc]}:3" <"$T/file" >"$T/copy" &
client=$!
kills_N
expect "the stream goes on: $(tail -n3 "$T/ga.log")" kill -0 $client
cp_start N
wait $client || fail "a stream between rails: $(tail -n3 "$T/ga.log")"
same "checksum, between rails" "$(sha256sum <"$T/copy")" "$SUM"
edges_up
row "Go, group by stcp | ours - rail - ours, killed - rail - ours, laid by Go | Go 2024"

# Who took a dial of a transport answered it with SYN and ACK
for n in N M gc gd gr; do
	in_ns $n nft -f - <<-END
		table inet dials { chain out { type filter hook output priority 0; tcp sport 7777 tcp flags & (syn | ack) == syn | ack counter; }; }
	END
done
dials_at() { in_ns "$1" nft -j list table inet dials | jq '[.. | .counter? | objects | .packets] | add'; }
all_dials() { for n in N M gc gd gr; do dials_at $n; done | xargs; }

# carried MIDDLE HOPS GO: N is killed in it
carried() {
	local client began before
	say "over $2, to $3"
	head -c 100G /dev/zero | go_group gu "${1:0:1}" -via "$(keys "$1")" -hops "$2" "${PK[$3]}:3" >/dev/null &
	client=$!
	kills_N
	before=$(all_dials)
	if wait $client; then fail "a group lives without its transport"; fi
	grep -q 'over: [^E]' "$T/ga.log" || fail "the dialler has no reason: $(tail -n3 "$T/ga.log")"
	say "the dialler's reason: $(sed -n 's/.*over: \([^;]*\);.*/\1/p' "$T/ga.log")"
	hears_end() { tail -n 3 "$T/$3/out" | grep -q 'echo to .* over: [^<]'; }
	wait_for 10 "the end at the listener" hears_end "$@"
	began=$(date +%s%N)
	cp_start N
	edges_up
	say "all transports after $((($(date +%s%N) - began) / 1000000)) ms"
	# M dials N, and N all in Go: once each
	same "dials at N, M, gc, gd, gr" "$(all_dials)" "$(awk '{ print $1 + 1, $2, $3 + 1, $4 + 1, $5 + 1 }' <<<"$before")"
	if grep -q "transport refused" "$T"/g?/out; then fail "a second transport: $(grep -h "transport refused" "$T"/g?/out)"; fi
	go_group gu "${1:0:1}" -via "$(keys "$1")" -hops "$2" -expect 5000000 "${PK[$3]}:3" <"$T/small" >"$T/copy" ||
		fail "a dial afterwards: $(tail -n3 "$T/ga.log")"
	expect "the same, afterwards" cmp "$T/small" "$T/copy"
	row "Go, group by stcp | $4, after a kill | Go $5"
}
carried N stcp,stcp gd "ours" 2026
carried M,N stcp,stcp,stcp gc "ours - stcp - ours" 2024
wait_for 20 "no rules are left" no_rules

logs_clean A N M U
nodes_end A N M U
peers_end gs gu gc gd gr
