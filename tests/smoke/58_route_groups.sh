#!/bin/bash
# Route groups between the ends of routes that a set-up node laid: one link and two, bytes both ways with checksums, an
# idle one that is kept, one without a listener, a link that goes, a reader that stops; and no rules are left.
#
#   [A] a0 ---- b0 [B] b1 ---- c0 [C: bench service on port 5]
#    all are clients of [S: dmsg server]; [N] is the set-up node
. "$(dirname "$0")/_init.sh"

MB=100

chain_net 4
chain_nodes
chain_dmsg N
for n in B C; do node_conf $n controlplane routing bench_port=5; done
chain_dmsg_start N

bench() { # TO OPTION... -- WHAT N...
	local to=$1
	shift
	python3 tests/smoke/route_bench.py "$BIN/skyrail" "$T/A/run/control.sock" "$to" "$@"
}
mkfifo "$T/nothing" && exec 9<>"$T/nothing"
# hold TO...: a stream that is kept open; what dial says is in $T/held
hold() {
	sk A route dial "$@" <&9 >"$T/held" 2>&1 &
	HELD=$!
}
groups() { sk "$1" -j show groups | jq -r --arg s "$2" '[.[] | select(.state == $s)] | length'; }
has_groups() { [ "$(groups "$1" "$2")" = "$3" ]; }
# group NODE STATE WHAT: of the newest one in that state
group() { sk "$1" -j show groups | jq -r --arg s "$2" "[.[] | select(.state == \$s)][0] | $3"; }
no_rules() { [ "$(sk "$1" -j show rules | jq length)" = 0 ]; }
all_gone() { has_groups A open 0 && has_groups C open 0 && no_rules A && no_rules B && no_rules C; }

say "one link"
bench "${PK[B]}:5" -- sum 20000000 give 20000000 >"$T/one"
say "$(cat "$T/one")"
same "lines" "$(wc -l <"$T/one")" 2

say "two links"
bench "${PK[C]}:5" "via=${PK[B]}" -- sum $((MB * 1000000)) give $((MB * 1000000)) echo 5000000 >"$T/two"
say "$(cat "$T/two")"
same "lines" "$(wc -l <"$T/two")" 3
wait_for 10 "its end" has_groups C ended 1
same "bytes in" "$(group C ended .rx_bytes)" $((MB * 1000000 + 5000000 + $(printf "sum %d\ngive %d\necho\n" ${MB}000000 ${MB}000000 | wc -c)))
same "bytes out" "$(group C ended .tx_bytes)" "$(group A ended .rx_bytes)"
same "why" "$(group C ended '"\(.role) \(.local_port) \(.reason)"')" "responder 5 "
wait_for 10 "no rules are left" all_gone

say "the CLI's bench"
sk A bench route "${PK[C]}:5" via=b size=20M | tee "$T/bench"
same "its lines" "$(awk '{ print $1, $2, $5 }' "$T/bench" | xargs)" "WAY BYTES CHECKSUMS there 20000000 right back 20000000 right round trip idle"
sk A -j bench route "${PK[C]}:5" via=b for=500ms way=back >"$T/bench"
same "of one way" "$(jq -r '[keys[], (.back.bytes > 0 and .back.gbps > 0 and .back.seconds >= 0.5 and .latency_us.min > 0)] | join(" ")' "$T/bench")" \
	"back latency_us true"
! sk A bench route "${PK[C]}:9" via=b 2>"$T/bench" || fail "a bench without its service"
expect "what to do" grep -q "has no bench service there: it takes \[routing\] bench_port = 9" "$T/bench"
sk C route listen 10 </etc/passwd >"$T/no-bench" & # not empty: the end of input ends it
wait_for 10 "a listener" has_groups C listens 2
! sk A bench route "${PK[C]}:10" via=b 2>"$T/bench" || fail "a bench of something else"
expect "what it is" grep -qE "something else than a bench service answers there" "$T/bench"
sk C route listen 11 </dev/null >"$T/no-bench" & # says nothing
wait_for 10 "a listener" listens C 11
! sk A bench route "${PK[C]}:11" via=b 2>"$T/bench" || fail "a bench of a listener that is silent"
expect "what it is not" grep -q "no answer in 5.0 s: it is not its bench service" "$T/bench"
wait $! || true
wait_for 10 "no rules are left" all_gone

say "nobody listens"
sk A route dial "${PK[C]}:9" "via=${PK[B]}" </dev/null >"$T/nobody" 2>&1 || true
expect "why not" grep -q "no listener on port 9, service offline" "$T/nobody"
same "it is counted" "$(count C groups_unwanted)" 2
wait_for 10 "no rules are left" all_gone

say "an idle one outlives its rules' time"
hold "${PK[C]}:5" "via=${PK[B]}" keep-alive=5s
wait_for 10 "it is open" has_groups C open 1
lives() { [ "$(group A open .age_ms)" -gt 12000 ]; }
wait_for 20 "12 seconds" lives
same "rules" "$(sk B -j show rules | jq length)" 2
expect "its latency" test "$(group A open '.rtt_us // 0')" -gt 0
say "$(sk A show groups)"

say "its operator ends it"
read -r peer port ours _ < <(sk C show groups | awk '$5 == "open"')
expect "an unknown one" bash -c "! '$BIN/skyrail' -s '$T/C/run/control.sock' route close $peer $port 1 2>/dev/null"
sk C route close "$peer" "$port" "$ours"
wait $HELD && fail "the stream ended as if nothing was"
same "why, here" "$(group C ended .reason)" "closed by its operator"
same "why, there" "$(group A ended .reason)" "the far end says: closed by its operator"
expect "what the dialler says" grep -q "cut: closed by the far end: .skyrail show groups. says why" "$T/held"
wait_for 10 "no rules are left" all_gone

say "a link goes"
hold "${PK[C]}:5" "via=${PK[B]}"
wait_for 10 "it is open" has_groups C open 1
sk B transport del c
wait_for 10 "its end at A" has_groups A open 0
expect "why" test -n "$(group A ended .reason)"
say "$(group A ended .reason)"
wait $HELD && fail "the stream ended as if nothing was"
wait_for 20 "no rules are left" all_gone
