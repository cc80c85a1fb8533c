#!/bin/bash
# A visor under another one, which is its hypervisor, by a lasting stream over our server; the server is killed and
# comes back, and the hypervisor has the visor again. Our node B is named as a second hypervisor: the visor dials it.
#
#   [V] visor, [X] hypervisor, [B] ours ---- [S: our server]
. "$(dirname "$0")/_init.sh" redis-server dmsg-discovery skywire-visor skywire-cli transport-discovery address-resolver

real_net D=10 S=1 B=102 V=121 X=122
real_discovery
real_services
own_server S
own_client B "$SERVER" S
node_start S B
wait_for 20 "our server in the discovery" has_server "$SERVER"
# shellcheck disable=SC2016
visor_conf X '.hypervisor = {db_path: ($dir + "/users.db"), enable_auth: false, dmsg_port: 46, http_addr: "127.0.0.1:8000",
	cookies: {hash_key: ("00" * 64), block_key: ("00" * 32), expires_duration: 43200000000000, path: "/"}}'
visor_conf V ".hypervisors = [\"${PK[X]}\", \"${PK[B]}\"]"
visor_start X V

# has_visor: X asks it, and it answers
has_visor() {
	in_ns X curl -sf -m 10 http://127.0.0.1:8000/api/visors |
		jq -e --arg k "${PK[V]}" 'any(.[]; .local_pk == $k and (.build_info != null))'
}
wait_for 60 "V at its hypervisor" has_visor

say "the visor dials our node, and waits there"
mkfifo "$T/hold"
sk B dmsg listen 46 <"$T/hold" >"$T/came" &
listener=$!
exec 8>"$T/hold"
dialled_by() { [ "$(sk B -j show streams | jq -r '.[] | "\(.kind) \(.src) \(.dst_port)"')" = "accepted $1 46" ]; }
wait_for 90 "a stream of V" dialled_by "${PK[V]}"
exec 8>&-
kill "$listener"
wait "$listener" || true
expect "V said nothing" test ! -s "$T/came"
row "visor | ours | our client, as its hypervisor"

for i in 1 2 3; do
	say "the server is killed, for the time number $i"
	node_kill S.cp KILL || true
	cp_start S
	for n in V X; do wait_for 90 "$n is back" own_has S "${PK[$n]}"; done
	wait_for 90 "V at its hypervisor" has_visor
	real_clean
done
row "visor | ours | hypervisor"
logs_clean S B
nodes_end S B
