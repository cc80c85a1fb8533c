#!/bin/bash
# Ports by AF_XDP with our own XDP program: rail goes to the nodes, all else stays with the kernel, also
# when the data plane is killed; nothing stays behind at an orderly end, and nobody's program is touched.
#
#   sky0 [A] a0 ---- b0 [B] b1 ---- c0 [C] sky0      10.1.1.0/24 and 10.1.2.0/24 are the kernels' all the time
. "$(dirname "$0")/_init.sh"

# program NS IF: the name of its XDP program; how NS IF: "native", "generic" or "", where there is none
program() { ip -n "$1" -d -j link show "$2" | jq -r '.[0].xdp.prog.name // .[0].xdp.attached[0].prog.name // ""'; }
how() { ip -n "$1" -d -j link show "$2" | jq -r '["", "native", "generic"][.[0].xdp.mode // 0] // "other"'; }
kernel_ping() { in_ns A ping -n -q -c 3 -i 0.2 -W 2 "$IP_BA" && in_ns C ping -n -q -c 3 -i 0.2 -W 2 "$IP_BC"; }
kernel_tcp() {
	in_ns A curl -sf --max-time 30 -o "$T/copy" http://"$IP_BA":8080/file && cmp "$T/file" "$T/copy"
}
# refused NS NODE PATTERN: its data plane does not start there, and says why
refused() {
	! ip netns exec "$1" "$BIN/skyrail-dataplane" -- -c "$T/$2/dataplane.ini" >"$T/$2/refused.out" 2>&1 ||
		fail "a data plane ended well that should not start"
	grep -qE "$3" "$T/$2/refused.out" || fail "no '$3' in: $(cat "$T/$2/refused.out")"
}

# port_counter NODE NAME: of all its ports
port_counter() { sk "$1" -j show counters | jq --arg name "$2" '[.[] | select(.name == $name) | .value] | add'; }

chain_net 4
node_new A net_af_xdp0,iface=a0
node_new B net_af_xdp0,iface=b0 net_af_xdp1,iface=b1
node_new C net_af_xdp0,iface=c0
node_peer A b B "$IP_BA:7780"
node_peer B a A "$IP_A:7780"
node_peer B c C "$IP_C:7780"
node_peer C b B "$IP_BC:7780"
if ! dp_start A; then
	grep -qE 'no right to load an XDP|(Operation not supported|Function not implemented|Invalid argument)$' \
		"$T/A/dataplane.log" || fail "data plane of A: $(tail -n 3 "$T/A/dataplane.log")"
	echo "AF_XDP does not work here: $(tail -n 1 "$T/A/dataplane.log")"
	exit 125
fi
same "program on a0" "$(program A a0) $(how A a0)" "skyrail_rx native"
cp_start A
node_start B C
wait_for 20 "all transports up" chain_up
chain_rules >/dev/null
chain_edges
expect "ping by rail" chain_ping

# both at once, and each keeps what is its own
head -c 4000000 /dev/urandom >"$T/file"
in_ns B python3 -m http.server --bind "$IP_BA" --directory "$T" 8080 >"$T/http.log" 2>&1 &
in_ns C python3 -m http.server --bind 10.9.0.2 --directory "$T" 8080 >"$T/http2.log" 2>&1 &
wait_for 5 "web server" in_ns A curl -sfI http://"$IP_BA":8080/file
wait_for 5 "web server by rail" in_ns A curl -sfI http://10.9.0.2:8080/file
in_ns A curl -sf --max-time 60 -o "$T/copy2" http://10.9.0.2:8080/file &
by_rail=$!
expect "TCP between the kernels" kernel_tcp
expect "ping between the kernels" kernel_ping
wait $by_rail || fail "TCP by rail"
expect "same file by rail" cmp "$T/file" "$T/copy2"
for n in A B C; do
	same "frames that came to $n and were the kernel's" "$(counter $n to_kernel drop_exception)" 0
done
expect "no datagram lost on the way" wait_for 5 "whole links" chain_whole

# more at once than the nodes have buffers: each of these comes to be used
in_ns A python3 -c "
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end = time.monotonic() + 2
while time.monotonic() < end: s.sendto(b'x' * 64, ('10.9.0.2', 9))"
expect "ping after a flood" wait_for 20 "ping" chain_ping -c 1
for n in A B C; do
	same "frames that $n's devices did not send" "$(port_counter $n port_tx_errors)" 0
done

# a worker that gets no processor: what its rings have no room for is counted, then it goes on
before=$(port_counter B port_rx_missed)
kill -STOP "${PID[B.dp]}"
in_ns A python3 -c "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(3000): s.sendto(b'x' * 40, ('$IP_BA', 7780))"
kill -CONT "${PID[B.dp]}"
missed() { echo $(($(port_counter B port_rx_missed) - before)); }
full() { [ "$(missed)" -ge 900 ]; }
wait_for 5 "frames missed" full
expect "no more than that" test "$(missed)" -le 1000
expect "ping after that" chain_ping

logs_clean B

# killed: the program stays and lets all pass; the next one replaces it
node_kill B.dp KILL || true
same "program left on b0" "$(program B b0)" skyrail_rx
expect "ping between the kernels, data plane dead" kernel_ping
expect "TCP between the kernels, data plane dead" kernel_tcp
dp_start B
wait_for 60 "ping again" chain_ping -c 1
expect "ping between the kernels again" kernel_ping

# an interface that was down goes on, also by another address
link() { [ "$(sk B -j show ports | jq -r '.[] | select(.name == "p1") | .link_up')" = "$1" ]; }
ip -n B link set b1 down
wait_for 10 "link shown down" link false
ip -n B link set b1 up
wait_for 60 "ping after link down and up" chain_ping -c 1
in_ns B sh -c 'echo 1 >/proc/sys/net/ipv4/conf/b1/arp_notify'
ip -n B link set b1 address 02:00:00:00:0b:01
wait_for 60 "ping by another address" chain_ping -c 1

# a second data plane on b0 with another UDP port leaves the first one in peace
node_new D net_af_xdp0,iface=b0
sed -i 's/^name = D/&\nudp_port = 7790/' "$T/D/dataplane.ini"
refused B D 'another data plane uses b0'
expect "ping after that" chain_ping

nodes_end A B C
for l in "A a0" "B b0" "B b1" "C c0"; do
	# shellcheck disable=SC2086
	same "program left on $l" "$(program $l)$(how $l)" ""
done
logs_clean A C

# somebody else's program is refused and stays
if echo '__attribute__((section("xdp"), used)) int other(void *ctx) { return 2; }' |
	clang -target bpf -O2 -x c -c -o "$T/other.o" - && ip -n A link set dev a0 xdp object "$T/other.o" section xdp; then
	before=$(ip -n A -d -j link show a0 | jq -c '.[0].xdp')
	refused A A 'XDP program of somebody else, .*ip link set dev a0 xdp off.*net_af_packet0,iface=a0'
	same "other's program" "$(ip -n A -d -j link show a0 | jq -c '.[0].xdp')" "$before"
	ip -n A link set dev a0 xdp off
else
	say "no program of somebody else could be loaded: left out"
fi

# an interface whose driver knows no XDP
if ip -n C link add link c0 name c5 type macvlan 2>/dev/null; then
	net_up C c5 10.1.5.1/24
	node_new E net_af_xdp0,iface=c5
	ip netns exec C "$BIN/skyrail-dataplane" -- -c "$T/E/dataplane.ini" >"$T/E/dataplane.log" 2>&1 &
	PID[E.dp]=$!
	wait_for 20 "data plane of E" dp_ready E 0
	same "mode on c5" "$(how C c5)" generic
	expect "it says so" grep -q 'does without: .*generic mode' "$T/E/dataplane.log"
	node_kill E.dp TERM || fail "data plane of E ended with $?"
	same "program left on c5" "$(how C c5)" ""
else
	say "no macvlan in this kernel: generic mode is left out"
fi
