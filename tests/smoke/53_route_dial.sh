#!/bin/bash
# Our own dials: a route that a set-up node lays over rail transports, with a sealed stream on it, there and back, by an
# explicit way and to a neighbour; what is refused, in whose words; what is left afterwards; a middle control plane killed.
#
#   [A] a0 ---- b0 [B] b1 ---- c0 [C]
#   all are clients of [S: dmsg server], where the set-up node is, too
. "$(dirname "$0")/_init.sh"

chain_net 6
chain_nodes
chain_dmsg S
chain_dmsg_start S

rules() { sk "$1" -j show rules | jq length; }
no_rules() { [ "$(rules A)$(rules B)$(rules C)" = 000 ]; }
# listen OUT IN
listen() {
	sk C route listen 7 <"$2" >"$1" 2>"$T/listen.err" &
	listener=$!
	wait_for 10 "a listener" listens C 7
}
# A dial that has to fail; its words are in $T/why
refused() { ! sk A route dial "$@" </dev/null >"$T/out" 2>"$T/why"; }
why() { grep -qF "$1" "$T/why" || fail "'$1' is not in: $(cat "$T/why")"; }

head -c 20000000 /dev/urandom >"$T/there"
head -c 10000000 /dev/urandom >"$T/back"
mkfifo "$T/in" "$T/in2" # the end of an input ends both directions

say "over B, both ways"
exec 8<>"$T/in2"
listen "$T/got" "$T/in2"
sk A route dial "${PK[C]}:7" "via=${PK[B]}" keep-alive=30s <"$T/in" >"$T/reply" &
dialler=$!
exec 9>"$T/in"
cat "$T/there" >&9 &
cat "$T/back" >&8
wait $!
got_all() { [ "$(stat -c %s "$T/got")" = 20000000 ] && [ "$(stat -c %s "$T/reply")" = 10000000 ]; }
wait_for 60 "all bytes" got_all
same "rules at B" "$(rules B)" 2
say "$(sk A show groups)"
same "seen at A" "$(sk A -j show groups | jq -r '.[0].state')" open
exec 9>&- 8>&-
expect "the dialler's end" wait "$dialler"
expect "the listener's end" wait "$listener"
same "there" "$(sha256sum <"$T/got")" "$(sha256sum <"$T/there")"
same "back" "$(sha256sum <"$T/reply")" "$(sha256sum <"$T/back")"
wait_for 20 "nothing is left" no_rules

say "to a neighbour, without a way"
sk B route listen 8 </dev/null >"$T/b" &
listener=$!
wait_for 10 "a listener" listens B 8
expect "dial" sk A route dial "${PK[B]}:8" <<<"hello neighbour"
expect "the listener's end" wait "$listener"
same "there" "$(cat "$T/b")" "hello neighbour"

say "what is refused, and in whose words"
expect "no listener" refused "${PK[C]}:9" "via=${PK[B]}" && why "the far end says: no listener on port 9"
expect "no way" refused "${PK[C]}:7" && why "there is no transport to that node, and no route finder to ask"
expect "no transport of that type" refused "${PK[C]}:7" "via=${PK[B]}" type=stcpr && why "no such transport here"
! grep -q "without type=" "$T/why" || fail "the type was given"
expect "no rail there" refused "${PK[C]}:7" "via=${PK[B]},${PK[A]}" && why "no such transport here"
why "without type=, the transports behind a via= node are rails"
expect "no transport of ours" refused "${PK[B]}:7" "via=${PK[C]}" && why "there is no transport to ${PK[C]} that is up"
expect "a misspelt type" refused "${PK[C]}:7" "via=${PK[B]}" type=scp && why "expected rail, stcp, stcpr, sudph, dmsg"
expect "our own key" refused "${PK[A]}:7" && why "that is this node's own key"
expect "hops and a way" refused "${PK[C]}:7" "via=${PK[B]}" hops=2 && why "via= says how many hops there are"
wait_for 20 "nothing is left" no_rules

say "a node that takes no routes through it"
node_conf B controlplane routing no_transit=yes
sk B config reload >"$T/reload.log"
expect "refused" refused "${PK[C]}:7" "via=${PK[B]}" && why "visor does not transit routes"
why "add intermediary rules at ${PK[B]}"
same "it is counted" "$(sk B -j show counters | jq '.[] | select(.name == "drop_route_transit") | .value')" 1
sed -i 's/no_transit = yes/no_transit = no/' "$T/B/controlplane.ini"
sk B config reload >"$T/reload.log"

say "the middle's control plane is killed while a stream flows"
listen "$T/got" /dev/null
sk A route dial "${PK[C]}:7" "via=${PK[B]}" <"$T/in" >"$T/reply" &
dialler=$!
exec 9>"$T/in"
head -c 10000000 "$T/there" >&9
node_kill B.cp KILL || true
tail -c 10000000 "$T/there" >&9
cp_start B 9>&- # or it would hold the input open
exec 9>&-
expect "the dialler's end" wait "$dialler"
expect "the listener's end" wait "$listener"
same "there" "$(sha256sum <"$T/got")" "$(sha256sum <"$T/there")"

say "a rule of it is deleted while a stream is open"
listen "$T/got" /dev/null
sk A route dial "${PK[C]}:7" "via=${PK[B]}" <"$T/in" >"$T/reply" 2>"$T/why" &
dialler=$!
exec 9>"$T/in"
forward_of() { sk A -j show groups | jq -e '[.[] | select(.state == "open")][0].forward_id'; }
wait_for 10 "a group" forward_of
sk A rule del "$(forward_of)"
! wait "$dialler" || fail "the dialler ended well"
exec 9>&-
why "cut: the route has ended"
wait "$listener" || true

say "the set-up node is not there"
node_kill S.cp KILL || true
gone() { refused "${PK[C]}:7" "via=${PK[B]}" timeout=3s; }
expect "refused" gone
cp_start S

say "what is counted"
same "dials of A" "$(count A route_dials)" 11
expect "those that failed" test "$(count A route_dials_failed)" -ge 4
same "of B" "$(count B route_dials)" 0

logs_clean A C S
nodes_end A B C S
