#!/bin/bash
# Ports by memif, memory shared with another DPDK program: skyrail-bench as both neighbours of B, then the
# node A as one. The kernel has addresses and ARP on TAPs. Whoever of the two is killed, the link is shown
# down, comes back with the next one, and traffic goes on.
#
# A server that is another user's is dialed again, too, by a data plane that has dropped its capabilities.
#
#   [bench] memif0 ---- p0 [B] p1 ---- memif1 [bench]      [A] p0 ---- p0 [B]      [bench of nobody] ---- p0 [C]
. "$(dirname "$0")/_init.sh"

# memif N ROLE
memif() { echo "net_memif$1,role=$2,socket=$T/memif$1.sock,socket-abstract=no"; }
# link NODE PORT true|false
link() { [ "$(sk "$1" -j show ports | jq -r --arg p "$2" '.[] | select(.name == $p) | .link_up')" = "$3" ]; }
# port NODE PORT COUNTER
port() { sk "$1" -j show counters | jq --arg p "$2" --arg c "$3" '[.[] | select(.of == $p and .name == $c) | .value] | add'; }
# node_memif NODE DEVICE...: with TAPs
node_memif() {
	node_new "$@"
	sed -i 's/^device = net_memif.*/&\nexception = tap/' "$T/$1/dataplane.ini"
}

net_add A B
node_memif B "$(memif 0 server)" "$(memif 1 server)"
dp_start B
net_up B sk-p0 10.1.1.2/24
net_up B sk-p1 10.1.2.2/24
cp_start B
expect "no link without a neighbour" link B p0 false

# bench: in A, JSON in $T/bench.json
bench() {
	in_ns A nice -n -10 "$BIN/skyrail-bench" --hugepages no -q -j "$T/bench.json" \
		-p "$(memif 0 client)" --address 10.1.1.1 --node 10.1.1.2 \
		-p "$(memif 1 client)" --address 10.1.2.1 --node 10.1.2.2 \
		--api "$T/B/run/control.sock" -d 2s -r 20 -s 64,1300 --max-loss 100% "$@" 2>"$T/bench.log" ||
		fail "bench: $(cat "$T/bench.log")"
}
json() { jq -r "$1" "$T/bench.json"; }
bench -R 5k --rekey 500ms
expect "books on the wire" test "$(json '.run | .received + .lost == .intended')" = true
expect "packets on the wire" test "$(json '.run.received')" -gt 5000
same "strangers on the wire" "$(json '.run.strange + .run.duplicates')" 0
expect "B forwarded them" test "$(counter B pkt_forwarded)" -ge "$(json '.run.received')"
wait_for 10 "link shown down" link B p0 false
rx=$(port B p0 port_rx_frames)
expect "frames counted by p0, which the driver forgot" test "$rx" -ge "$(json '.run.received / 4 | floor')"
bench -R 5k
expect "packets of the next neighbour" test "$(json '.run.received')" -gt 5000
expect "counters go on" test "$(port B p0 port_rx_frames)" -ge $((rx + $(json '.run.received / 4 | floor')))
wait_for 5 "books of B" books B

# another node: its kernel and ours see each other through the TAPs
node_memif A "$(memif 0 client)"
node_peer A b B 10.1.1.2:7780
node_peer B a A 10.1.1.1:7780
a_start() {
	dp_start A
	net_up A sk-p0 10.1.1.1/24
}
kernel_ping() { in_ns A ping -n -q -c 1 -W 1 10.1.1.2; }
up() { tp_up A b && tp_up B a; }
a_start
cp_start A
sk B config reload
wait_for 20 "transport" up
wait_for 10 "ping between the kernels" kernel_ping
pair_edges
expect "ping by rail" chain_ping
expect "ping of large packets" chain_ping -s 1400

node_kill A.dp KILL || true
wait_for 10 "link shown down" link B p0 false
a_start
wait_for 10 "link shown up" link B p0 true
wait_for 60 "ping after A's data plane was killed" chain_ping -c 1

node_kill B.dp KILL || true
wait_for 10 "link of A shown down" link A p0 false
dp_start B
net_up B sk-p0 10.1.1.2/24
net_up B sk-p1 10.1.2.2/24
wait_for 10 "link of A shown up" link A p0 true
wait_for 60 "ping after B's data plane was killed" chain_ping -c 1
wait_for 10 "ping between the kernels again" kernel_ping
wait_for 5 "books of A" books A
nodes_end A B

# A server of another user, to whose socket only a capability leads: whether it was there at the start or
# not, and also after that.
mkdir -m 755 "$T/other"
chown nobody "$T/other"
chmod a+x "$T"
OTHER="net_memif2,socket=$T/other/m.sock,socket-abstract=no"
server_start() {
	in_ns A setpriv --reuid=nobody --regid=nogroup --clear-groups env -i HOME="$T/other" XDG_RUNTIME_DIR="$T/other" \
		"$BIN/skyrail-bench" --hugepages no -q -p "$OTHER,role=server" --address 10.1.3.1 --node 10.1.3.2 \
		--key "$T/other/key" --node-key "$KEY" --in-id 1 --out-id 2 --no-dial >"$T/server.log" 2>&1 &
	SERVER=$!
}
server_kill() {
	ip netns pids A | xargs -r kill -KILL
	wait "$SERVER" 2>/dev/null || true
	wait_for 10 "link shown down" link C p0 false
	rm -f "$T/other/m.sock"
}
net_add C
node_memif C "$OTHER,role=client"
dp_start C
net_up C sk-p0 10.1.3.2/24
cp_start C
KEY=$(sk C -j show node | jq -r .pk)
server_start
wait_for 10 "link to a server that came later" link C p0 true
node_kill C.dp KILL || true
dp_start C
net_up C sk-p0 10.1.3.2/24
wait_for 10 "link to a server that was there" link C p0 true
server_kill
server_start
wait_for 10 "link to the next server" link C p0 true
server_kill
nodes_end C
