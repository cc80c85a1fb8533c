#!/bin/bash
# Visors whose routes our set-up node lays, over a real dmsg server: loops over each other, as visors ping, while one
# hangs, and again when it is back.
#
#   [V] [X] visors ---- [R: real server] ---- [N: our set-up node]
. "$(dirname "$0")/_init.sh" redis-server dmsg-discovery dmsg-server skywire-visor skywire-cli transport-discovery \
	address-resolver

real_net D=10 R=2 N=101 V=121 X=122
real_discovery
real_services
real_key R
real_server R R
real_key setup
own_node N
node_conf N controlplane dmsg "discovery=$DISC"
node_conf N controlplane setup_node enable=yes "key_file=$T/setup/key"
node_start N
real_finder
wait_for 60 "the set-up node in the discovery" delegated "${PK[setup]}" "${PK[R]}"
visor_conf V
visor_conf X
visor_start V X
for n in V X; do wait_for 90 "$n at the server" delegated "${PK[$n]}" "${PK[R]}"; done

# loops WHEN: from either over the other
loops() {
	say "$1: loops"
	expect "a route from V over X" visor_ping V X
	sleep 3
	expect "a route from X over V" visor_ping X V
	sleep 3
	real_clean
}
done_so_far() { sk N -j show dmsg | jq .setups_done; }
for n in 1 2 3; do loops "$n"; done
same "routes" "$(done_so_far)" 6
same "failed" "$(sk N -j show dmsg | jq .setups_failed)" 0

say "X hangs: a route over it fails, with its name"
id=$(visor_tp_add V dmsg "${PK[X]}") || fail "no transport to X"
echo "$id ${PK[V]} ${PK[X]}" >"$T/routes"
kill -STOP "${PID[X]}"
(visor V visor ping "${PK[X]}" >"$T/ping" 2>&1 || true) &
hangs=$!
failed() { [ "$(sk N -j show dmsg | jq .setups_failed)" -ge 1 ]; }
wait_for 60 "a set-up that failed" failed
expect "who did not answer" grep -q "${PK[X]}" <<<"$(sk N -j show setups | jq -r 'map(select(.state == "failed"))[].error')"
kill -CONT "${PID[X]}"
wait $hangs
! grep -q Latency "$T/ping" || fail "a route over a visor that hangs"
visor V tp rm -i "$id" >/dev/null || true
sleep 5
loops "X is back"
sk N show setups
row "visor | real | visor, our set-up node"
logs_clean N
nodes_end N
