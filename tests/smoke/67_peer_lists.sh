#!/bin/bash
# B takes whom its lists name; lists change while links are up: a mistake changes nothing, who may not
# any more is closed, who may now gets in, and the link between B and C notices nothing.
#
#   [A, on B's list] a0 ---- b0 [B: allow_file, deny_file] b1 ---- c0 [C, configured]
. "$(dirname "$0")/_init.sh"

chain_net 4
node_new A a0
node_new B b0 b1
node_new C c0
allow=$T/B/allow deny=$T/B/deny
node_conf B controlplane peers "allow_file=$allow" "deny_file=$deny"
node_peer A b B "$IP_BA:7780"
node_peer B c C "$IP_C:7780"
node_peer C b B
echo "${PK[A]} paris # a friend" >"$allow"
echo "# nobody" >"$deny"
node_start A B C
wait_for 20 "A, by the list" tp_up B paris
wait_for 20 "C" tp_up B c
same "origin" "$(tp B paris origin)" accepted

reload() { sk B config reload >"$T/reload.log" 2>&1; }
hup() {
	local seen
	seen=$(wc -l <"$T/B/controlplane.log")
	kill -HUP "${PID[B.cp]}"
	wait_for 5 "reload" reloaded "$seen"
}
reloaded() { tail -n "+$(($1 + 1))" "$T/B/controlplane.log" | grep -qE 'configuration(=.*| not) taken'; }
gone() { [ -z "$(tp B "$1" state)" ]; }

say "a mistake in any of its files changes nothing"
{ echo "${PK[A]}" && echo 1234; } >"$deny"
! reload || fail "a wrong list was taken"
expect "the line is named" grep -q "$deny:2: is no public key" "$T/reload.log"
hup
expect "SIGHUP says so too" grep -q 'not taken, nothing changed' "$T/B/controlplane.log"
cp "$T/B/controlplane.ini" "$T/good.ini"
echo 'colour = red' >>"$T/B/controlplane.ini"
! reload || fail "a wrong configuration was taken"
rm "$T/B/controlplane.ini"
! reload || fail "a missing configuration was taken"
cp "$T/good.ini" "$T/B/controlplane.ini"
same "link of A" "$(tp B paris state)" up

say "denied: closed, and told why"
echo "${PK[A]}" >"$deny"
expect "reload" reload
wait_for 5 "A closed" gone paris
wait_for 5 "A knows" tp_not_up A b
wait_for 15 "and is refused" grep -q 'the peer refuses: not allowed' "$T/A/controlplane.log"
expect "with the reason" grep -q 'closed by the peer: key not allowed (code 4), not allowed any more' "$T/A/controlplane.log"
expect "counted" test "$(sk B -j show counters | jq "[.[] | select(.name == \"drop_hs_denied\") | .value] | add")" -ge 1

say "allowed again, by SIGHUP"
: >"$deny"
hup
wait_for 70 "A is back" tp_up B paris
wait_for 5 "A" tp_up A b

say "denied though configured"
echo "${PK[C]} # for now" >"$deny"
expect "reload" reload
wait_for 5 "C closed" tp_not_up B c
expect "it says why" grep -q denied <<<"$(tp B c note)"
! sk B transport add again "peer=${PK[C]}" 2>"$T/add.log" || fail "a denied peer was added"
expect "and so does the CLI" grep -q denied "$T/add.log"
: >"$deny"
expect "reload" reload
wait_for 10 "C is back" tp_up B c
same "link of A went on" "$(tp B paris state)" up

say "on no list any more: closed, and then silence"
: >"$allow"
expect "reload" reload
wait_for 5 "A closed" gone paris
sleep 3
same "A stays outside" "$(tp_up A b && echo in || echo out)" out
for n in A B C; do wait_for 5 "books of $n" books $n; done
nodes_end A B C
