#!/bin/bash
# An edge is taken off with --close: the rules of both directions end at once in all three nodes.
. "$(dirname "$0")/_init.sh"

chain_net 4
chain_nodes
chain_start 60s

sk A edge detach sky0 --close
all_gone() {
	rule_gone A 101 && rule_gone A 102 && rule_gone B 201 && rule_gone B 202 && rule_gone C 301 && rule_gone C 302
}
wait_for 5 "all rules closed" all_gone
say "packets for an edge without a route are told in show drops"
in_ns A ping -n -q -c 3 -i 0.2 -W 0.2 10.9.0.2 >"$T/ping.txt" 2>&1 || true
expect "show drops points at edges" grep -q '3  edges' <(sk A show drops)
say "rules that are not there have a line each, the others go"
sk A rule add consume id=61 >/dev/null
sk A rule add consume id=63 >/dev/null
! sk A rule del 61 9999 63 8888 2>"$T/del.log" || fail "rules that are not there were removed"
same "lines" "$(grep -cE 'no rule (9999|8888)' "$T/del.log")" 2
expect "the others are gone" rule_gone A 61
expect "the others are gone" rule_gone A 63
logs_clean A B C
nodes_end A B C
