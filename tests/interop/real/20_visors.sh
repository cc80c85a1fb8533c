#!/bin/bash
# Visors at our dmsg server, then at a real one: self-transports and transports of each type, routes and route groups,
# a file to our client, a stream to it; the server is killed and comes back, and they do it again.
#
#   [V] [X] visors, [G] real client, [A] ours ---- [S: our server], [R: real server]
. "$(dirname "$0")/_init.sh" redis-server dmsg-discovery dmsg-server skywire-visor skywire-cli setup-node \
	transport-discovery address-resolver dmsghttp

real_net D=10 S=1 R=2 A=101 G=111 V=121 X=122
real_discovery
real_services
own_server S
real_key R
own_node A
own_knows A "$SERVER" S
own_knows A "${PK[R]}" R
node_conf A controlplane dmsg "discovery=$DISC"
node_conf A controlplane peers allow=any
for n in G V X; do real_key $n; done
for n in V X; do
	visor_conf $n ".[\"skywire-tcp\"].pk_table = {\"${PK[V]}\": \"${ADDR[V]}:7777\", \"${PK[X]}\": \"${ADDR[X]}:7777\"}"
done
head -c "$BYTES" /dev/urandom >"$T/V/files/file"
FILE_SUM=$(sha256sum <"$T/V/files/file")

# visors_work WHEN: what a visor stops doing, it does not begin again
visors_work() {
	local n t at=${1%%,*}
	for n in V X; do
		say "$1: self-transports of $n"
		expect "self-transport of $n" visor_tp $n dmsg "${PK[$n]}"
		expect "another of $n" visor_tp $n dmsg "${PK[$n]}"
	done
	row "visor | $at | itself"
	say "$1: transports"
	for t in dmsg stcp stcpr sudph; do expect "$t" visor_tp V $t "${PK[X]}"; done
	sleep 3
	for t in dmsg stcp stcpr sudph; do expect "$t, back" visor_tp X $t "${PK[V]}"; done
	say "$1: routes"
	expect "a route from V over X" visor_ping V X
	sleep 3
	expect "a route from X over V" visor_ping X V
	say "$1: route groups"
	sleep 3
	expect "a route group from V to X" visor_group V X
	sleep 3
	expect "a route group from X to V" visor_group X V
	row "visor | $at | visor, set-up node"
	say "$1: a file"
	own_get A "${PK[V]}:80" file "$T/copy"
	whole "$T/copy" "ours from a visor"
	row "our client | $at | visor"
	real_clean
}

# visor_calls WHEN: V makes a transport to A, and ends it
visor_calls() {
	say "$1: a visor dials ours"
	expect "a transport to A" visor_tp V dmsg "${PK[A]}"
	row "visor | $1 | our client"
	real_clean
}

# refused WHEN SERVER_KEY: a dial that fails ends nothing else. G listens on no port for transports; then it is killed, and its
# entry stays. A 2024 server lets the dialler wait for 20 s, ours does not.
refused() {
	local n
	say "$1: refused dials"
	real_run G G dmsghttp -d "$T/G" -D "$DISC" -s "${SK[G]}"
	wait_for 30 "G at the server" delegated "${PK[G]}" "$2"
	for n in 1 2; do
		! visor V tp add -t dmsg "${PK[G]}" >/dev/null 2>&1 || fail "a transport to G"
		! sk A dmsg dial "${PK[G]}:45" </dev/null >/dev/null 2>&1 || fail "a stream to G"
		[ $n = 2 ] || real_end G KILL
	done
	real_clean
}

# at SERVER_KEY: all are there
at() {
	local n
	for n in V X setup A; do wait_for 90 "$n at the server" delegated "${PK[$n]}" "$1"; done
}

node_start S A
wait_for 20 "our server in the discovery" has_server "$SERVER"
real_finder
real_setup
visor_start V X
at "$SERVER"
for n in V X; do visor_serve $n; done
visors_work "ours"
visor_calls "ours"
sessions=$(sk S -j show dmsg | jq .clients_opened)
refused "ours" "$SERVER"
same "clients so far, with G" "$(sk S -j show dmsg | jq .clients_opened)" $((sessions + 1))

say "our server is killed, with a transport up"
expect "a transport" visor_tp_add V dmsg "${PK[X]}"
node_kill S.cp KILL || true
cp_start S
for n in V X setup A; do wait_for 90 "$n is back" own_has S "${PK[$n]}"; done
visors_work "ours, again"

say "only the real server"
node_kill S.cp TERM || fail "our server ended with $?"
real_server R R
at "${PK[R]}"
visors_work "real"
visor_calls "real"
refused "real" "${PK[R]}"
visors_work "real, then"
logs_clean S A
node_kill S.dp TERM || fail "S ended with $?"
nodes_end A
