#!/bin/bash
# Rules live by their keep-alive: edges keep them, idle or not; without edges they are swept, and a
# Close takes a route down at once.
#
#   [A] ---- [B] ---- [C]     keep-alive of each rule: 6 s
. "$(dirname "$0")/_init.sh"

chain_net 4
chain_nodes
chain_start 6s
same "keep-alive" "$(rule B 201 keep_alive_ms)" 6000

sleep 10
for r in "A 101" "A 102" "B 201" "B 202" "C 301" "C 302"; do
	read -r n id <<<"$r"
	expect "rule $id of $n kept alive" test -n "$(rule "$n" "$id" id)"
done
expect "ping after idling" chain_ping

say "A's edge detached: its direction dies, the other lives"
sk A edge detach sky0
for r in "A 101" "B 201" "C 301"; do
	read -r n id <<<"$r"
	wait_for 15 "rule $id of $n swept" rule_gone "$n" "$id"
done
expect "reverse direction alive" test -n "$(rule B 202 id)"
sk C edge detach sky0
for r in "C 302" "B 202" "A 102"; do
	read -r n id <<<"$r"
	wait_for 15 "rule $id of $n swept" rule_gone "$n" "$id"
done
same "expired in B" "$(sk B -j show node | jq .rules_expired)" 2

say "ids may come again; Close takes the route down at once"
chain_rules 60s >/dev/null
sk A edge attach sky0 forward=101 consume=102
sk C edge attach sky0 forward=302 consume=301
expect "ping" chain_ping
sk A edge detach sky0 --close
for r in "A 101" "B 201" "C 301"; do
	read -r n id <<<"$r"
	wait_for 3 "rule $id of $n closed" rule_gone "$n" "$id"
done
expect "closed in B" test "$(sk B -j show node | jq .rules_closed)" -ge 1
for n in A B C; do wait_for 5 "books of $n" books $n; done
logs_clean A B C
nodes_end A B C
