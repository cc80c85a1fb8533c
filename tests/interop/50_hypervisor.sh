#!/bin/bash
# Two hypervisors in Go, one in the words of the first version and one of later ones, tell a node of ours each of
# the dmsg server in their LAN. The nodes reach each other over it alone, and again after a restart without
# hypervisors and public server.
#
#   [A] ours ----+---- [gl: Go server of the LAN] ----+---- [B] ours
#                +---- [gs: public Go server] --------+
#                         [gx] [gy] Go hypervisors
. "$(dirname "$0")/_init.sh"

peers_net gs gl gx gy A B
go_server gs
go_server gl -gen 2026
own_client A gs
own_client B gs
hypervisor() {
	go_start "$1" hypervisor -gen "$2" -server "${SERVER[gs]}" -lan "${SERVER[gl]}"
	node_conf "$3" controlplane "hypervisor $1" "key=${PK[$1]}"
}
hypervisor gx 2024 A
hypervisor gy 2026 B
node_start A B

lan() { sk "$1" -j show servers | jq -r ".[] | select(.kind == \"lan\" and .state == \"open\") | .$2"; }
has_lan() { [ "$(lan "$1" pk)" = "${PK[gl]}" ]; }
# alone NODE: no session but that of the LAN's server
alone() { own_open "$1" 1 && has_lan "$1"; }
told() {
	wait_for 30 "$1 tells $2" grep -q "^pushed ${PK[$2]}$" "$T/$1/out"
	wait_for 30 "$2 at the LAN's server" has_lan "$2"
	same "who told $2" "$(lan "$2" by)" "${PK[$1]}"
	same "pushes of $2" "$(sk "$2" -j show dmsg | jq .pushes_taken)" 1
}
told gx A
told gy B

say "the public server is gone"
node_kill gs KILL || true
for n in A B; do wait_for 20 "$n without it" alone $n; done
carry "ours | Go in the LAN, told of by Go hypervisors | ours" A "" B ""

say "the hypervisors, too, and the nodes start again"
peers_end gx gy
for n in A B; do
	node_kill $n.cp TERM || fail "control plane of $n ended with $?"
	cp_start $n
done
for n in A B; do wait_for 30 "$n at the LAN's server" alone $n; done
carry "ours | Go in the LAN, told of before a restart | ours" B "" A ""
logs_clean A B
nodes_end A B
peers_end gl
