#!/bin/bash
# The real set-up node lays routes over our nodes, which a real server and discovery connect: rules where they belong;
# what a node refuses is told to who asked.
#
#   [A] asks ---rail--- [B] ---rail--- [C]      [R: real server]   [D: discovery, set-up node]
. "$(dirname "$0")/_init.sh" redis-server dmsg-discovery dmsg-server setup-node transport-discovery address-resolver

real_net D=10 R=2 A=101 B=102 C=103
real_discovery
real_services
real_key R
real_server R R
real_setup
for n in A:101 B:102 C:103; do
	node_new "${n%:*}" "e${n#*:}"
	node_conf "${n%:*}" controlplane dmsg "discovery=$DISC"
	node_conf "${n%:*}" controlplane "route_setup_node real" "key=${PK[setup]}"
done
node_peer A b B "${ADDR[B]}:7780"
node_peer B a A "${ADDR[A]}:7780"
node_peer B c C "${ADDR[C]}:7780"
node_peer C b B "${ADDR[B]}:7780"
node_start A B C
wait_for 20 "all transports up" chain_up
for n in A B C; do wait_for 60 "$n at the server" delegated "${PK[$n]}" "${PK[R]}"; done
wait_for 60 "the set-up node at the server" delegated "${PK[setup]}" "${PK[R]}"

# ask TYPES NODE...: a route, of the real set-up node; its answer
ask() {
	local types=$1 keys=() n
	shift
	for n in "$@"; do keys+=("${PK[$n]}"); done
	python3 tests/smoke/setup_call.py "$BIN/skyrail" "$T/$1/run/control.sock" "${PK[setup]}:36" "dial $types 30 ${keys[*]}"
}
n_laid() { sk "$1" -j show routes | jq '[.[] | select(.state == "laid")] | length'; }
has_laid() { [ "$(n_laid "$1")" = "$2" ]; }
count() { sk "$1" -j show counters | jq --arg n "$2" '[.[] | select(.name == $n) | .value] | add // 0'; }

say "a route from A over B to C"
same "the answer" "$(ask rail,rail A B C)" edge
shown() { sk "$1" -j show routes | jq -r '[.[] | "\(.state) \(.type) \(.setup_node == "'"${PK[setup]}"'")"] | sort | unique | join(", ")'; }
same "at A, whose rules are in the answer" "$(shown A)" "reserved null true"
same "at B" "$(shown B)" "laid intermediary true"
same "at C" "$(shown C)" "laid consume true, laid forward true"
same "they fit" "$(sk B -j show routes | jq -r '.[] | select(.transport == "c") | .next_id')" \
	"$(sk C -j show routes | jq -r '.[] | select(.type == "consume") | .id')"

say "20 of them, at once"
asks=()
for _ in {1..20}; do
	ask rail,rail A B C >>"$T/answers" &
	asks+=($!)
done
for pid in "${asks[@]}"; do wait "$pid" || true; done
same "answers" "$(sort "$T/answers" | uniq -c | xargs)" "20 edge"
same "laid at B" "$(count B route_rules)" 42

say "what a node refuses"
expect "no such transport" grep -q "failure code 1 (id [0-9]*: no such transport here)" <<<"$(ask rail,stcp A B C)"
node_conf B controlplane routing no_transit=yes
sk B config reload >"$T/reload.log"
same "no transit" "$(ask rail,rail A B C)" "error failure code 1 (visor does not transit routes)"
same "a route that ends there" "$(ask rail A B)" edge
sed -i '/^\[route_setup_node real\]/,+1d' "$T/B/controlplane.ini"
sk B config reload >"$T/reload.log"
expect "it is no set-up node any more" grep -q '^error' <<<"$(ask rail,rail A B C)"

say "nobody uses them: they end"
wait_for 60 "the end of all rules at B" has_laid B 0
row "our client asks | real | ours, by the real set-up node"
logs_clean A B C
nodes_end A B C
