# Three nodes of ours with ends in Go beside them, of 2024 and of 2026, and two set-up nodes, in Go and of ours: for groups
# between an end of ours and one in Go, and between ends in Go with many of ours in the middle.
#
#   [A] --- rail --- [N] --- rail, stcp --- [M] --- stcp --- [A]
#   all dial by stcp: [gc] 2024, says all again at port 3, [gd] 2026, the same, [gr] refuses to be an end; [ga] dials them
#   [gs: Go server] [gu: Go set-up node] [U: ours]
# shellcheck shell=bash
# shellcheck source=tests/interop/_init.sh
. "$(dirname "${BASH_SOURCE[0]}")/_init.sh"

# stcp NODE PEER [KEY=VALUE...]: without an address it is dialled by the peer
stcp() { node_conf "$1" controlplane "transport tcp$2" "peer=${PK[$2]}" type=stcp "${@:3}"; }
rails() { node_peer "$1" "r$2" "$2" "${IP[$2]}:7780" && node_peer "$2" "r$1" "$1" "${IP[$1]}:7780"; }
ups() { [ "$(sk "$1" -j show transports | jq '[.[] | select(.state == "up")] | length')" = "$2" ]; }
no_rules() { [ "$(for n in A N M; do sk $n -j show rules | jq length; done | xargs)" = "0 0 0" ]; }
has() { [ "$(stat -c %s "$1")" = "$2" ]; } # FILE BYTES
listens() { sk A -j show groups | jq -e --argjson p "$1" 'any(.local_port == $p and .state == "listens")' >/dev/null; }
row() { echo "$1" >>build/interop/matrix; }

edges_up() {
	local n
	wait_for 30 "transports of A" ups A 5
	for n in N M; do wait_for 30 "transports of $n" ups $n 6; done
	for n in A N M U; do wait_for 20 "$n at the server" own_open $n 1; done
	wait_for 20 "the set-up node at the server" dmsg_is U setup_sessions 1
}

peers_net gs gu ga gc gd gr A N M U
go_server gs
for n in gu ga gc gd gr; do go_key $n; done
for n in A N M; do node_new $n e0; done
own_node U
PK[ours]=$(node_key "$T/U/setup.key")
node_conf U controlplane setup_node enable=yes "key_file=$T/U/setup.key"
for n in A N M U; do node_conf $n controlplane "server gs" "key=${SERVER[gs]%@*}" "address=${SERVER[gs]#*@}"; done
rails A N
rails N M
stcp N M
stcp M N "address=${IP[N]}:7777"
stcp A M "address=${IP[M]}:7777"
stcp M A
for n in A N M; do
	node_conf $n controlplane stcp "listen=${IP[$n]}:7777"
	stcp $n ga
	for g in gc gd gr; do stcp $n $g "address=${IP[$g]}:7777"; done
	node_conf $n controlplane "route_setup_node gu" "key=${PK[gu]}"
	node_conf $n controlplane "route_setup_node ours" "key=${PK[ours]}"
done
go_start gu setup -server "${SERVER[gs]}"
go_start gc node -server "${SERVER[gs]}" -listen "${IP[gc]}:7777" -echo 3
go_start gd node -gen 2026 -pq -server "${SERVER[gs]}" -listen "${IP[gd]}:7777" -echo 3
go_start gr node -refuse AddEdgeRules -server "${SERVER[gs]}" -listen "${IP[gr]}:7777"
node_start A N M U
edges_up
head -c 5000000 "$T/file" >"$T/small"
mkfifo "$T/in" "$T/held"

# ours FILE KEY:PORT VIA [OPTION...]: we dial who says all again; we close when it has come back
ours() {
	local dialler what="dial ${*:2}"
	sk A route dial "$2" "via=$3" "${@:4}" <"$T/in" >"$T/copy" 2>"$T/dial.log" &
	dialler=$!
	exec 9>"$T/in"
	{ cat "$1" >&9; } 2>/dev/null || fail "$what: $(cat "$T/dial.log")"
	WATCHED=$dialler wait_for 60 "the echo" has "$T/copy" "$(stat -c %s "$1")" || fail "$what: $(cat "$T/dial.log")"
	exec 9>&-
	wait $dialler || fail "$what: $(cat "$T/dial.log")"
	expect "the same, $what" cmp "$1" "$T/copy"
}
# refused KEY:PORT VIA...: a dial of ours that has to fail (2024 takes nothing back, so not for long); why WORDS: in these
refused() { ! sk A route dial "$1" "via=$2" keep-alive=5s "${@:3}" </dev/null >"$T/out" 2>"$T/dial.log"; }
why() { grep -qF "$1" "${2:-$T/dial.log}" || fail "'$1' is not in: $(cat "${2:-$T/dial.log}")"; }
# keys NODE,NODE: their keys
keys() {
	local n list=()
	for n in ${1//,/ }; do list+=("${PK[$n]}"); done
	(IFS=, && echo "${list[*]}")
}
# go_group SETUP NODE [OPTION...] KEY:PORT: ga dials, at that node of ours first; standard input and output are the stream
go_group() {
	go_peer ga rdial -v -server "${SERVER[gs]}" -setup "${PK[$1]}" -stcp "${PK[$2]}@${IP[$2]}:7777" "${@:3}" 2>"$T/ga.log"
}
