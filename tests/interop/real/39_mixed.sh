#!/bin/bash
# A chain whose links are of different kinds: a rail between our nodes, which no discovery knows, so the route finder is the one
# of routes that are written down. Laid by the real set-up node and by ours.
#
#   V -stcp- N -rail- M -dmsg- X      V -dmsg- N -rail- M -stcp- X     V, X: visors; N, M: ours
. "$(dirname "$0")/_routes.sh" dmsg-server setup-node

routes_new
for n in N M; do ip -n $n link del d0; done
net_link N d0 10.1.1.1/24 M d0 10.1.1.2/24
node_peer N M M 10.1.1.2:7780
node_peer M N N 10.1.1.1:7780
real_end finder
real_finder
routes_setup real
routes_start
wait_for 30 "the rail" tp_up N M

# mixed SETUP FIRST LAST: with these types at both ends
mixed() {
	local id=() least n
	say "$1: V -$2- N -rail- M -$3- X"
	link "$2" N V
	link "$3" M X
	id=("$(tp N "$2-V" tp_id)" "$(tp N M tp_id)" "$(tp M "$3-X" tp_id)")
	{
		echo "${id[0]} ${PK[V]} ${PK[N]} ${id[1]} ${PK[N]} ${PK[M]} ${id[2]} ${PK[M]} ${PK[X]}"
		echo "${id[2]} ${PK[X]} ${PK[M]} ${id[1]} ${PK[M]} ${PK[N]} ${id[0]} ${PK[N]} ${PK[V]}"
	} >"$T/routes"
	socks_up V || fail "no proxy"
	socks_carry V
	for n in N M; do
		least=$(passed $n)
		expect "all went over $n: $least" test "$least" -ge "$BYTES"
	done
	socks_down V
	for n in N M; do wait_for 20 "no rules at $n" no_rules $n; done
	unlink "$2" N V
	unlink "$3" M X
	real_clean
	row "visor, group by $2, rail, $3 | ours - ours, laid by $1 | visor"
}
mixed real stcp dmsg
mixed real dmsg stcp
routes_setup ours
mixed ours stcp dmsg
mixed ours dmsg stcpr
fit "mixed chains"
logs_clean N M
nodes_end N M
