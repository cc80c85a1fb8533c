#!/bin/bash
# Routes that are held open and idle for half an hour: their rules live for 30 s (visors') or 10 min (ours), they are the same
# ones at the end, and so is the group, which then carries data.
#
#   V - N - X: skysocks     N - V - M: our bench service      HELD=SECONDS: for so long
. "$(dirname "$0")/_routes.sh" dmsg-server setup-node

HELD=${HELD:-1800}
routes_new
routes_setup real
routes_start
chain_do link stcp V N X
link stcp V M

rules_of() { sk "$1" -j show rules | jq -c 'map("\(.type) \(.id)") | sort'; }
groups_of() { sk "$1" -j show groups | jq -c 'map(select(.state == "open") | "\(.peer) \(.local_port)") | sort'; }
say "both"
socks_up V || fail "no proxy"
socks_carry V
python3 tests/smoke/route_bench.py "$BIN/skyrail" "$T/N/run/control.sock" "${PK[M]}:5" min-hops=2 -- \
	sum 1000000 idle $((HELD + 20)) sum "$BYTES" give "$BYTES" >"$T/bench.log" 2>&1 &
bench=$!
wait_for 60 "the route from N to M" grep -q '^sum' "$T/bench.log"
before="$(rules_of N) $(rules_of M) $(groups_of N) $(groups_of M)"
say "$before"
same "of the middle, and of our edge" "$(sk N -j show rules | jq -c 'map(.type) | sort')" '["consume","forward","intermediary","intermediary"]'
began=$SECONDS
while [ $((SECONDS - began)) -lt "$HELD" ]; do
	sleep 10
	kill -0 $bench 2>/dev/null || fail "bench: $(cat "$T/bench.log")"
	same "rules and groups after $((SECONDS - began)) s" "$(rules_of N) $(rules_of M) $(groups_of N) $(groups_of M)" "$before"
done
say "after $HELD s"
socks_carry V
least=$(passed N)
expect "all went over N: $least" test "$least" -ge $((2 * BYTES))
wait $bench || fail "bench: $(cat "$T/bench.log")"
say "$(tr '\n' ' ' <"$T/bench.log")"
socks_down V
for n in N M; do wait_for 20 "no rules at $n" no_rules $n; done
real_clean
if [ "$HELD" -ge 1800 ]; then
	row "visor, for half an hour | ours | visor"
	row "ours, for half an hour | visor | ours"
fi
logs_clean N M
nodes_end N M
