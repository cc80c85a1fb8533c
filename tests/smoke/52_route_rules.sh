#!/bin/bash
# A set-up node lays routes over our nodes: ids and rules by dmsg port 136, traffic over them, what it may not do, who
# may not at all, and what is left when it changes its mind, the control plane dies, or nothing comes any more.
#
#   sky0 10.9.0.1 [A] a0 ---- b0 [B] b1 ---- c0 [C] 10.9.0.2 sky0
#                       all are clients of [S: dmsg server] over the link to B; [N] is the set-up node
. "$(dirname "$0")/_init.sh"

chain_net 4
chain_nodes
chain_dmsg N
for n in A B C; do node_conf $n controlplane "route_setup_node n" "key=${PK[N]}"; done
node_conf B controlplane routing no_transit=no
chain_dmsg_start N
# a client of its own, which calls as the node
wait_for 20 "a session of N" dmsg_is N sessions 1

# setup_at FROM KEY:PORT CALL...: as that node; the answers, a line each
setup_at() {
	local from=$1
	shift
	python3 tests/smoke/setup_call.py "$BIN/skyrail" "$T/$from/run/control.sock" "$@"
}
TP_AB=$(tp B a tp_id) TP_BC=$(tp B c tp_id)
routes() { sk "$1" -j show routes | jq -r '[.[] | .state] | group_by(.) | map("\(length) \(.[0])") | join(", ")'; }
has_routes() { [ "$(routes "$1")" = "$2" ]; }

say "a route through B"
setup_at N "${PK[B]}:136" "reserve 3" "rules \$0 301 $TP_BC 10, \$1 102 $TP_AB 10" >"$T/laid"
read -r _ THERE BACK SPARE <"$T/laid"
same "its answers" "$(cut -d' ' -f1 "$T/laid" | xargs)" "ids true"
same "at B" "$(routes B)" "2 laid, 1 reserved"
sk C rule add consume id=301 in=b --static >"$T/rules.log"
sk A rule add consume id=102 in=b --static >"$T/rules.log"
sk C rule add forward id=302 next="$BACK" transport=b --static >"$T/rules.log"
sk A rule add forward id=101 next="$THERE" transport=b --static >"$T/rules.log"
chain_edges
expect "ping" chain_ping
(exec ip netns exec A ping -n -q -i 0.2 10.9.0.2) >"$T/ping" 2>&1 & # until the end
pinger=$!
say "$(sk B show routes)"
shown() { sk B -j show routes | jq -r --argjson id "$1" ".[] | select(.id == \$id) | $2"; }
expect "packets" test "$(shown "$THERE" .packets)" -ge 3
same "the rule" "$(shown "$THERE" '"\(.type) \(.next_id) \(.in_transport) \(.transport) \(.setup_node) \(.keep_alive_ms)"')" \
	"intermediary 301 a c ${PK[N]} 10000"
same "the other" "$(shown "$BACK" '"\(.next_id) \(.in_transport) \(.transport)"')" "102 c a"
same "the spare id" "$(shown "$SPARE" '"\(.state) \(.type) \(.next_id) \(.expires_ms > 0)"')" "reserved null null true"
expect "packets go on" test "$(shown "$THERE" .packets)" -le "$(rule B "$THERE" packets)"

say "what it may not"
setup_at N "${PK[B]}:136" "reserve 2" "rules $THERE 301 $TP_BC 30" "rules 12345 301 $TP_BC 30" \
	"rules \$0 301 $TP_BC 30, \$0 301 $TP_BC 30" "rules \$0 301 00000000-0000-0000-0000-000000000001 30" \
	"rules \$1 301 $TP_BC 2" "reserve 103" "edge ${PK[A]} ${PK[C]} \$1 302 $TP_AB $SPARE 30" "del 12345 $SPARE" >"$T/refused"
say "$(cat "$T/refused")"
line=1
for text in "has a rule already" "id 12345: is not reserved by you" "has a rule already" "no such transport here" \
	"keep-alives of 5 s to 3600 s" "failure code 4 (more than 102 ids)" "the route does not end at this node"; do
	line=$((line + 1))
	sed -n "${line}p" "$T/refused" | grep -qF "$text" || fail "answer $line is not '$text'"
done
same "the last one" "$(tail -n1 "$T/refused")" true
same "refused" "$(count B drop_route_calls)" 7
expect "ping goes on" chain_ping

say "who may not"
same "its answer" "$(setup_at C "${PK[B]}:136" "reserve 1")" end
wait_for 5 "it is counted" count_is B drop_route_strangers 1
setup_at N "${PK[B]}:136" "raw 80ff" >"$T/rubbish"
same "its answer" "$(cat "$T/rubbish")" end
wait_for 5 "it is counted" count_is B drop_route_rubbish 1
same "another set-up node gets ids, and not those of N" \
	"$(setup_at N "${PK[B]}:136" "reserve 1" "del \$0" | cut -d' ' -f1 | xargs)" "ids true"

say "our set-up node, and an end that has not the transport that it should answer by"
laid=$(count B route_rules)
setup_at A "$SETUP:36" "dial rail,rail/stcp,rail 30 ${PK[A]} ${PK[B]} ${PK[C]}" >"$T/dialled"
say "$(cat "$T/dialled")"
expect "why not" grep -q "add edge rules at ${PK[C]}: failure code 1" "$T/dialled"
same "laid at B" "$(count B route_rules)" $((laid + 2))
wait_for 10 "and taken back" count_is B route_rules_back 2
setup_at A "$SETUP:36" "dial rail,stcp/rail,rail 30 ${PK[A]} ${PK[B]} ${PK[C]}" >"$T/dialled"
expect "by transports that are not there" grep -q "add intermediary rules at ${PK[B]}: failure code 1 (id [0-9]*: no such transport here" "$T/dialled"

same "and a whole one" "$(setup_at A "$SETUP:36" "dial rail,rail 30 ${PK[A]} ${PK[B]} ${PK[C]}")" edge
same "its middle at B" "$(sk B -j show routes | jq -r --arg k "$SETUP" '[.[] | select(.setup_node == $k) | "\(.state) \(.type)"] | unique[]')" \
	"laid intermediary"
same "its end at C" "$(sk C -j show routes | jq -r '[.[] | select(.state == "laid") | .type] | sort | join(" ")')" "consume forward"

say "a reload: no transit, then nobody"
sed -i 's/no_transit = no/no_transit = yes/' "$T/B/controlplane.ini"
sk B config reload >"$T/reload.log"
same "its answers" "$(setup_at N "${PK[B]}:136" "reserve 1" "rules \$0 301 $TP_BC 30" | tail -n1)" \
	"error failure code 1 (visor does not transit routes)"
expect "ping goes on" chain_ping
sed -i '/route_setup_node n/,+1d' "$T/B/controlplane.ini"
sk B config reload >"$T/reload.log"
same "N is none any more" "$(setup_at N "${PK[B]}:136" "reserve 1")" end
expect "ping goes on" chain_ping

say "the control plane dies: rules live on, and are nobody's"
node_kill B.cp KILL || true
sed -i 's/no_transit = yes/no_transit = no/' "$T/B/controlplane.ini"
node_conf B controlplane "route_setup_node n" "key=${PK[N]}"
cp_start B
wait_for 20 "transports" chain_up
wait_for 20 "a session of B" dmsg_is B sessions 1
same "a former life's rule" "$(rule B "$THERE" id) $(routes B)" "$THERE "
same "taking it back" "$(setup_at N "${PK[B]}:136" "del $THERE")" true
same "has done nothing" "$(rule B "$THERE" id)" "$THERE"

say "killed while routes are laid"
lay() {
	while :; do
		setup_at N "${PK[B]}:136" "reserve 2" "rules \$0 301 $TP_BC 5, \$1 102 $TP_AB 5" "reserve 2" \
			"rules \$1 301 $TP_BC 5" || true
	done >>"$T/lay.log" 2>&1
}
lay &
layer=$!
for i in 1 2 3 4 5 6 7 8; do
	sleep "0.$((i * 7 % 10))"
	node_kill B.cp KILL || true
	cp_start B
done
kill "$layer"
wait "$layer" 2>/dev/null || true
expect "some were laid" grep -q true "$T/lay.log"
expect "ping goes on" chain_ping
kill -INT "$pinger"
wait "$pinger" || true
expect "no ping was lost: $(cat "$T/ping")" grep -q ' 0% packet loss' "$T/ping"
no_rules() { [ "$(sk B -j show rules | jq length)" = 0 ]; }
wait_for 30 "no orphan" no_rules
same "ids given twice" "$(grep '^ids' "$T/lay.log" | tr ' ' '\n' | grep '^[0-9]' | sort | uniq -d)" ""

logs_clean A C N S
nodes_end A B C N S
