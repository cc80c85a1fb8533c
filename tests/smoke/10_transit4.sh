#!/bin/bash
# A route each way through a node that only forwards, over IPv4, by reliable transports.
#
#   sky0 10.9.0.1 [A] a0 ---- b0 [B] b1 ---- c0 [C] 10.9.0.2 sky0
. "$(dirname "$0")/_init.sh"

test_same_rule() { [ "$(rule "$1" "$2" packets) $(rule "$1" "$2" bytes)" = "$(rule "$3" "$4" packets) $(rule "$3" "$4" bytes)" ]; }

family=${FAMILY:-4}
chain_net "$family"
chain_nodes "mode=${MODE:-reliable}"
node_start A B C
wait_for 20 "all transports up" chain_up
same "transport ids of both ends" "$(tp A b tp_id)" "$(tp B a tp_id)"
same "mode" "$(tp B c mode)" "${MODE:-reliable}"
same "cipher" "$(tp B c cipher)" "$(sk B -j show node | jq -r '.ciphers | split(" ")[0]')"

chain_rules 30s >/dev/null
chain_edges
expect "ping" chain_ping
expect "ping -6" in_ns A ping -6 -q -c 3 -i 0.2 -W 2 fd09::2
expect "TransportPing" sk A ping b -c 2

# a file, by TCP
head -c 8000000 /dev/urandom >"$T/file"
in_ns C python3 -m http.server --bind 10.9.0.2 --directory "$T" 8080 >"$T/http.log" 2>&1 &
wait_for 5 "web server" in_ns C curl -sfI http://10.9.0.2:8080/file
in_ns A curl -sf --max-time 60 -o "$T/copy" http://10.9.0.2:8080/file
expect "same file" cmp "$T/file" "$T/copy"

# what A sent is what B received and sent on, and what C received: packets and bytes of the rules
sleep 0.5
for id in "A 101 B 201" "B 201 C 301" "C 302 B 202" "B 202 A 102"; do
	read -r n1 id1 n2 id2 <<<"$id"
	wait_for 3 "rule $id1 of $n1 = rule $id2 of $n2" \
		test_same_rule "$n1" "$id1" "$n2" "$id2" || fail "rules $id: $(rule "$n1" "$id1" packets) packets and $(rule "$n2" "$id2" packets)"
done
[ "$(rule B 202 bytes)" -gt 8000000 ] || fail "B forwarded $(rule B 202 bytes) bytes of the file"
same "B consumed" "$(counter B pkt_consumed)" 0
for n in A B C; do
	wait_for 5 "books of $n" books $n || books $n
	# a probe under a key that a crossing handshake replaced may be lost, before any traffic
	expect "lost on $n's links" test "$(sk $n -j show transports | jq '[.[].lost] | max')" -le 1
done
logs_clean A B C
nodes_end A B C
