#!/bin/bash
# docs/joining.md: its controlplane.ini, with the set-up node's key in it, makes a node that is found by dmsg and listed by
# the transport discovery; a visor links it by stcp, another one by stcpr, with the page's lines, and routes go over it.
#
#   [V] visor -stcp- [N: the page's] -stcpr- [X] visor       [D: services, set-up node; R: dmsg server]
. "$(dirname "$0")/_routes.sh" dmsg-server setup-node

printf '127.0.0.1 localhost\n%s sky.example.org\n' $DISC_IP >"$T/hosts"
mount --bind "$T/hosts" /etc/hosts
routes_new
awk '/^```/ { ini = $0 == "```ini"; next } ini' docs/joining.md >"$T/page.ini"
expect "a page with all services" test "$(grep -c '^[a-z_]* = http://sky\.' "$T/page.ini")" = 4
sed "s/^key = .*/key = ${PK[setup]}/; s/^name = .*/name = N/; s|^state_dir = .*|run_dir = $T/N/run\nkey_file = $T/N/node.key|" \
	"$T/page.ini" >"$T/N/controlplane.ini"
# the page's lines for a visor that calls by itself
routes_visor V X ".[\"skywire-tcp\"].pk_table = {\"${PK[N]}\": \"${ADDR[N]}:7777\"}"
routes_visor X V ".persistent_transports = [{pk: \"${PK[N]}\", type: \"stcpr\"}]"
routes_setup real
routes_start

say "links"
wait_for 60 "X's, kept by itself" has_tp_of N X stcpr 1
visor V tp add -t stcp "${PK[N]}" || fail "no stcp transport of V"
listed() { [ "$(sk N -j show services | jq -r '.[0] | "\(.up) \(.registered) \(.failed)"')" = "2 2 0" ]; }
wait_for 30 "both are listed" listed
wait_for 20 "the way over us" sk N route find "${PK[X]}" "from=${PK[V]}" min-hops=2

say "routes"
socks_up V || fail "no proxy"
socks_carry V
least=$(passed N)
expect "all went over N: $least" test "$least" -ge "$BYTES"
# what the page shows
for what in servers discoveries services transports routes; do
	printf '%s\n' "$what"
	script -qec "stty cols 110; '$BIN/skyrail' -s '$T/N/run/control.sock' show $what" /dev/null </dev/null
done
sk N route find "${PK[X]}" "from=${PK[V]}" min-hops=2
socks_down V
wait_for 20 "no rules" no_rules N
real_clean
row "visor, by stcp | ours, of docs/joining.md | visor, by stcpr"
logs_clean N M
nodes_end N M
