#!/bin/bash
# A's control plane is ended while its data plane answers nothing: commands are under way.
#
#   [A, its data plane stands still] ---- [B]
. "$(dirname "$0")/_init.sh"

net_add A B
net_link A a0 10.1.1.1/24 B b0 10.1.1.2/24
node_new A a0
node_new B b0
node_peer A b B 10.1.1.2:7780
node_peer B a A 10.1.1.1:7780
node_start A B
wait_for 20 "transport up" tp_up A b

kill -STOP "${PID[A.dp]}"
"$BIN/skyrail" key gen "$T/x.key" >"$T/x.pk"
sk A transport add x "peer=$(cat "$T/x.pk")" address=10.1.1.9:7780
sk A ping b -c 1 >"$T/ping.txt" 2>&1 &
ping=$!
sk A rule add consume id=77 --static >"$T/rule.txt" 2>&1 &
rule=$!
sleep 0.5
node_kill A.cp TERM || fail "control plane of A ended with $?"
wait $ping && fail "a ping was answered"
wait $rule && fail "a rule was answered for"
kill -CONT "${PID[A.dp]}"

cp_start A
wait_for 20 "transport up again" tp_up A b
wait_for 5 "the rule that was sent" test -n "$(rule A 77 id)"
logs_clean B
nodes_end A B
