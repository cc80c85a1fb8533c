#!/bin/bash
# Inits with a right mac1 from ever other addresses, as only one who knows B's key can make them: B asks
# for cookies, its link with A changes keys as always, and C, a peer that comes in the middle of it,
# gets in. Once over IPv4, once over IPv6.
#
#   forged inits [A] ---- [B] ---- [C, started during the flood]
. "$(dirname "$0")/_init.sh"

flooded() { # 4|6
	local v=$1 flood keys0
	chain_net "$v"
	node_new A a0
	node_new B b0 b1
	node_new C c0
	node_peer A b B "$IP_BA:7780"
	node_peer B a A
	node_peer B c C
	node_peer C b B "$IP_BC:7780"
	for n in A B C; do node_conf $n controlplane link rekey=2s; done
	node_start A B
	wait_for 20 "A and B" tp_up A b
	keys0=$(tp A b rekeys)
	# shellcheck disable=SC2001
	ip netns exec A python3 tests/smoke/forge.py "$(sed 's/[][]//g' <<<"$IP_BA")" 7780 "${PK[B]}" 100 >"$T/forge.log" &
	flood=$!
	wait_for 10 "cookies" asks_for_cookies
	node_start C
	wait_for 20 "C during the flood" tp_up C b
	expect "the flood goes on" kill -0 $flood
	expect "C had to show a cookie" test "$(count C hs_cookies_taken)" -ge 1
	wait_for 10 "new keys during the flood" newer_keys "$keys0"
	same "link of A" "$(tp A b state)" up
	kill $flood
	wait $flood
	say "$(cat "$T/forge.log"); B: $(counter B hs_cookies) cookies, $(counter B drop_hs_budget) beyond the budget," \
		"$(counter B rx_handshake) looked at"
	expect "few reached the control plane" test "$(counter B rx_handshake)" -lt 2500
	wait_for 5 "books" books B
	nodes_end A B C
	ip netns del A && ip netns del B && ip netns del C
	rm -rf "${T:?}"/[ABC]
}
asks_for_cookies() { [ "$(counter B hs_cookies)" -gt 500 ]; }
newer_keys() { [ "$(tp A b rekeys)" -gt $(($1 + 2)) ]; }

flooded 4
flooded 6
