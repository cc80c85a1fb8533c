#!/bin/bash
# A route each way over TCP connections that control planes carry, as to Skywire's visors: data come
# whole, connections come back once after an end, and who does not read holds up the route.
#
#   sky0 10.9.0.1 [A] a0 --stcp-- b0 [B] b1 --stcp, or NEXT=rail-- c0 [C] 10.9.0.2 sky0
. "$(dirname "$0")/_init.sh"

test_same_rule() { [ "$(rule "$1" "$2" packets) $(rule "$1" "$2" bytes)" = "$(rule "$3" "$4" packets) $(rule "$3" "$4" bytes)" ]; }
next=${NEXT:-stcp} port=7777
[ "$next" = stcp ] || port=7780

chain_net 4
node_new A a0
node_new B b0 b1
node_new C c0
node_peer A b B "$IP_BA:7777" type=stcp
node_peer B a A type=stcp
node_peer B c C "$IP_C:$port" type="$next"
node_peer C b B type="$next"
node_conf B controlplane stcp "listen=$IP_BA:7777"
node_conf B controlplane transports carriers=2
node_conf C controlplane transports carriers=0
[ "$next" = rail ] || node_conf C controlplane stcp listen=0.0.0.0:7777
# B's control plane will be killed: what shall come back is in its configuration
node_conf B controlplane "rule there" type=intermediary id=201 next=301 transport=c in=a
node_conf B controlplane "rule back" type=intermediary id=202 next=102 transport=a in=c
node_start A B C
wait_for 20 "all transports up" chain_up
same "transport ids of both ends" "$(tp A b tp_id)" "$(tp B a tp_id)"
same "types" "$(tp A b type) $(tp B a type) $(tp B c type)" "stcp stcp $next"
same "mode" "$(tp A b mode)" carried
sk C rule add consume id=301 in=b --static
sk C rule add forward id=302 next=202 transport=b --static
sk A rule add consume id=102 in=b --static
sk A rule add forward id=101 next=201 transport=b --static
chain_edges
expect "ping" chain_ping

# a file each way, by TCP inside
head -c 8000000 /dev/urandom >"$T/file"
for n in A C; do
	in_ns $n python3 -m http.server --bind "10.9.0.$([ $n = A ] && echo 1 || echo 2)" --directory "$T" 8080 >"$T/http-$n.log" 2>&1 &
done
wait_for 5 "web servers" in_ns C curl -sfI http://10.9.0.1:8080/file
wait_for 5 "web servers" in_ns A curl -sfI http://10.9.0.2:8080/file
in_ns A curl -sf --max-time 60 -o "$T/copy" http://10.9.0.2:8080/file
expect "same file" cmp "$T/file" "$T/copy"
in_ns C curl -sf --max-time 60 -o "$T/copy" http://10.9.0.1:8080/file
expect "same file, the other way" cmp "$T/file" "$T/copy"
for id in "A 101 B 201" "B 201 C 301" "C 302 B 202" "B 202 A 102"; do
	read -r n1 id1 n2 id2 <<<"$id"
	wait_for 3 "rule $id1 of $n1 = rule $id2 of $n2" \
		test_same_rule "$n1" "$id1" "$n2" "$id2" || fail "rules $id: $(rule "$n1" "$id1" packets) packets and $(rule "$n2" "$id2" packets)"
done
[ "$(rule B 202 bytes)" -gt 8000000 ] || fail "B forwarded $(rule B 202 bytes) bytes of the file"
wait_for 5 "what one end sent the other received" chain_whole || fail "sent = received: $(chain_links)"
bytes_agree() { [ "$(tp A b tx_bytes) $(tp A b rx_bytes)" = "$(tp B a rx_bytes) $(tp B a tx_bytes)" ]; }
wait_for 5 "both ends count the same bytes" bytes_agree || fail "bytes of A: $(tp A b tx_bytes) $(tp A b rx_bytes), of B: $(tp B a rx_bytes) $(tp B a tx_bytes)"

# A's link is the one's, C's the other's; with rail one of them has none
works() {
	local t
	for t in /proc/"${PID[B.cp]}"/task/*; do
		[ "$(cat "$t/comm")" != "$1" ] || [ "$(cut -d' ' -f1 "$t/schedstat")" -lt 3000000 ] || return 0
	done
	return 1
}
expect "the first carrier of B carried" works carrier-0
[ "$next" = rail ] || expect "and so did the second" works carrier-1

# B's control plane stands still for a while: A's packets wait, in order, and none is lost
in_ns C iperf3 -s -1 >"$T/iperf-s.log" 2>&1 &
server=$!
wait_for 5 "iperf3" in_ns C bash -c 'ss -ltn | grep -q :5201'
in_ns A iperf3 -c 10.9.0.2 -u -b 80M -l 1000 -t 6 -J >"$T/iperf.json" &
client=$!
sleep 1
kill -STOP "${PID[B.cp]}"
held() { [ "$(count A carried_holds)" -gt 0 ]; }
wait_for 4 "A is held up" held || true
kill -CONT "${PID[B.cp]}"
expect "A is held up" held
wait $client || true
wait $server || true
say "$(jq -r '.end.sum | "\(.packets) packets, \(.lost_packets) did not reach the program"' "$T/iperf.json")"
wait_for 20 "all that was sent was received" chain_whole || fail "sent = received: $(chain_links)"
same "routes ended" "$(counter A routes_held routes_stalled)$(counter B routes_held routes_stalled)" 00
expect "ping after the halt" chain_ping

# B's control plane is killed: its connections end with it, and each comes back by one dial
node_kill B.cp KILL || true
wait_for 5 "A sees the end" tp_not_up A b
before=$(tp A b handshakes)
cp_start B
start=$SECONDS
wait_for 10 "transports back" chain_up
say "back after $((SECONDS - start)) s"
same "dials of A" "$(($(tp A b handshakes) - before))" 1
same "calls that met another" "$(count A drop_carried_twice) $(count B drop_carried_twice) $(count C drop_carried_twice)" "0 0 0"
expect "ping at last" chain_ping
for n in A B C; do wait_for 5 "books of $n" books $n || books $n; done
logs_clean A B C
nodes_end A B C
