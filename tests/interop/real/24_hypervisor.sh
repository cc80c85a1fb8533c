#!/bin/bash
# A visor under another one, which is its hypervisor, by a lasting stream over our server; the server is killed and
# comes back, and the hypervisor has the visor again.
#
#   [V] visor, [X] hypervisor ---- [S: our server]
. "$(dirname "$0")/_init.sh" redis-server dmsg-discovery skywire-visor skywire-cli transport-discovery address-resolver

real_net D=10 S=1 V=121 X=122
real_discovery
real_services
own_server S
node_start S
own_publish S server
wait_for 20 "our server in the discovery" has_server "$SERVER"
# shellcheck disable=SC2016
visor_conf X '.hypervisor = {db_path: ($dir + "/users.db"), enable_auth: false, dmsg_port: 46, http_addr: "127.0.0.1:8000",
	cookies: {hash_key: ("00" * 64), block_key: ("00" * 32), expires_duration: 43200000000000, path: "/"}}'
visor_conf V ".hypervisors = [\"${PK[X]}\"]"
visor_start X V

# has_visor: X asks it, and it answers
has_visor() {
	in_ns X curl -sf -m 10 http://127.0.0.1:8000/api/visors |
		jq -e --arg k "${PK[V]}" 'any(.[]; .local_pk == $k and (.build_info != null))'
}
wait_for 60 "V at its hypervisor" has_visor
for i in 1 2 3; do
	say "the server is killed, for the time number $i"
	node_kill S.cp KILL || true
	cp_start S
	for n in V X; do wait_for 90 "$n is back" own_has S "${PK[$n]}"; done
	wait_for 90 "V at its hypervisor" has_visor
	real_clean
done
logs_clean S
nodes_end S
