#!/bin/bash
# Set-up nodes in Go lay routes over our nodes, by a server in Go: what they do right, and what they should not do; none
# of that stops the traffic of a route that is there.
#
#   sky0 10.9.0.1 [A] ---rail--- [B] ---rail--- [C] 10.9.0.2 sky0
#   [gs: Go server]   [gn] 2024, [gm] 2026: set-up nodes, by a script   [gx]: none   [gt]: a whole one
. "$(dirname "$0")/_init.sh"

peers_net gs A B C gn gm gx gt
go_server gs
for n in gn gm gx gt; do go_key $n; done
for n in A B C; do
	node_new $n e0
	node_conf $n controlplane "server gs" "key=${SERVER[gs]%@*}" "address=${SERVER[gs]#*@}"
	node_conf $n controlplane "route_setup_node t" "key=${PK[gt]}"
done
node_peer A b B "${IP[B]}:7780"
node_peer B a A "${IP[A]}:7780"
node_peer B c C "${IP[C]}:7780"
node_peer C b B "${IP[B]}:7780"
node_conf B controlplane "route_setup_node n" "key=${PK[gn]}"
node_conf B controlplane "route_setup_node m" "key=${PK[gm]}"
node_start A B C
wait_for 20 "all transports up" chain_up
for n in A B C; do wait_for 20 "a session of $n" own_open $n 1; done

# lay NAME OPTIONS LINE...: as that set-up node at B; what came of each line
lay() {
	local name=$1 options=$2
	shift 2
	# shellcheck disable=SC2086
	printf '%s\n' "$@" | go_peer "$name" lay -server "${SERVER[gs]}" $options "${PK[B]}" 2>>"$T/lay.log"
}
RULES="\$0 301 ${PK[C]}, \$1 102 ${PK[A]}"
count() { sk B -j show counters | jq --arg n "$1" '[.[] | select(.name == $n) | .value] | add // 0'; }
n_routes() { sk B -j show routes | jq --arg k "${PK[$1]}" --arg s "$2" '[.[] | select(.setup_node == $k and .state == $s)] | length'; }
has_routes() { [ "$(n_routes "$1" "$2")" = "$3" ]; }

say "a route of 2024's, and pings over it"
lay gn "-keep 30s" "reserve 2" "rules $RULES" >"$T/laid"
same "its answers" "$(cut -d' ' -f1 "$T/laid" | xargs)" "ok ok"
read -r _ THERE BACK <<<"$(head -n1 "$T/laid")"
sk C rule add consume id=301 in=b --static >"$T/rules.log"
sk A rule add consume id=102 in=b --static >"$T/rules.log"
sk C rule add forward id=302 next="$BACK" transport=b --static >"$T/rules.log"
sk A rule add forward id=101 next="$THERE" transport=b --static >"$T/rules.log"
chain_edges
expect "ping" chain_ping
expect "B's rule" test "$(rule B "$THERE" packets)" -ge 3
(exec ip netns exec A ping -n -q -i 0.1 10.9.0.2) >"$T/ping" 2>&1 &
pinger=$!

say "a whole route, asked for by A"
go_start gt setup -server "${SERVER[gs]}"
same "the answer" "$(python3 tests/smoke/setup_call.py "$BIN/skyrail" "$T/A/run/control.sock" "${PK[gt]}:36" \
	"dial rail,rail 5 ${PK[A]} ${PK[B]} ${PK[C]}")" edge
same "its middle" "$(n_routes gt laid)" 2
same "its end" "$(sk C -j show routes | jq -r '[.[] | select(.state == "laid") | .type] | sort | join(" ")')" "consume forward"

say "a route of 2026's, taken back; and not by the other one"
lay gm "-gen 2026" "reserve 2" "rules $RULES" "del $THERE" "del \$0 \$1" "rules $RULES" >"$T/laid"
say "$(cat "$T/laid")"
same "its answers" "$(cut -d' ' -f1 "$T/laid" | xargs)" "ok ok ok ok error"
same "its rules" "$(n_routes gm laid)" 0
same "the rule of 2024's" "$(rule B "$THERE" id)" "$THERE"

say "one that is none"
lay gx "" "reserve 1" >"$T/laid"
expect "no answer" grep -q '^error' "$T/laid"
expect "it is counted" test "$(count drop_route_strangers)" -ge 1

say "ids of others, ids twice, no such transport, no keep-alive"
lay gm "" "reserve 2" "rules $THERE 301 ${PK[C]}" "rules 77 301 ${PK[C]}" "rules \$0 301 ${PK[C]}, \$0 102 ${PK[A]}" \
	"rules \$0 301 ${PK[C]}, \$1 102 ${PK[gx]}" >"$T/laid"
same "its answers" "$(cut -d' ' -f1 "$T/laid" | xargs)" "ok error error error error"
expect "no such transport" grep -q "failure code 1 (id [0-9]*: no such transport here)" "$T/laid"
same "nothing of it was laid" "$(n_routes gm laid)" 0
lay gm "-keep 1s" "reserve 2" "rules $RULES" >"$T/laid"
expect "too short a life" grep -q "keep-alives of 5 s to 3600 s are possible" "$T/laid"

say "cut calls, a slow one, and one on another stream"
lay gn "-keep 5s" "cut" "cut" "reserve 2" "slowly" "rules $RULES" "again" "rules $RULES" >"$T/laid"
same "its answers" "$(cut -d' ' -f1 "$T/laid" | xargs)" "ok ok ok ok ok ok error"
expect "an id has one rule" grep -q "has a rule already" "$T/laid"

say "100 at once"
before=$(count route_rules)
lay gm "-gen 2026 -keep 5s" "storm 100 $RULES" >"$T/laid"
expect "all of them: $(head -c 300 "$T/laid")" grep -q '^ok' "$T/laid"
same "laid" "$(count route_rules)" $((before + 200))
same "ids" "$(wc -w <"$T/laid")" 201

say "all ids"
lay gn "" "exhaust" >"$T/laid"
expect "there is an end: $(cat "$T/laid")" grep -qE 'after [1-4][0-9]{3} ids: failure code 4 \(too many ids are reserved\)' "$T/laid"
sk B show memory >/dev/null
expect "ping goes on" chain_ping

say "they end by themselves"
wait_for 20 "the end of the others' rules" has_routes gm laid 0
kill -INT "$pinger"
wait "$pinger" || true
expect "no ping was lost: $(cat "$T/ping")" grep -q ' 0% packet loss' "$T/ping"
wait_for 60 "the end of the first route" has_routes gn laid 0
wait_for 40 "the end of all reservations" has_routes gn reserved 0
same "rules at B" "$(sk B -j show rules | jq length)" 0
echo "Go 2024 and 2026 lay | Go | ours, by rail transports" >>build/interop/matrix
logs_clean A B C
nodes_end A B C
peers_end gs gt
