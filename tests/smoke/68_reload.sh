#!/bin/bash
# A transport that was made by hand gets into the configuration and out of it again; one that stands in
# the configuration's way has the whole of it refused.
#
#   [A] ---- [B]
. "$(dirname "$0")/_init.sh"

net_add A B
net_link A a0 10.1.1.1/24 B b0 10.1.1.2/24
node_new A a0
node_new B b0
node_peer B a A 10.1.1.1:7780
node_start A B
sk A transport add b "peer=${PK[B]}" address=10.1.1.2:7780
wait_for 20 "transport up" tp_up A b
same "origin" "$(tp A b origin)" added
handshakes=$(tp A b handshakes)
cp "$T/A/controlplane.ini" "$T/before.ini"

say "another name for the same peer: nothing of it is taken"
node_peer A bee B 10.1.1.2:7780
node_conf A controlplane "rule west" type=consume id=99
! sk A config reload 2>"$T/reload.log" || fail "a configuration with a peer twice was taken"
expect "the way out is named" grep -q 'transport bee.*transport del b' "$T/reload.log"
expect "its rule is not there" rule_gone A 99
same "origin" "$(tp A b origin)" added

say "the same name: it becomes the configuration's, and notices nothing"
cp "$T/before.ini" "$T/A/controlplane.ini"
node_peer A b B 10.1.1.2:7780
sk A config reload >"$T/reload.log"
expect "what changed is told" grep -q "^changed: .*\[" "$T/reload.log"
same "and nothing" "$(sk A config reload)" "nothing changed"
same "origin" "$(tp A b origin)" configured
same "state" "$(tp A b state)" up
same "handshakes" "$(tp A b handshakes)" "$handshakes"

say "a rule in the slot of another one is refused, and nothing of its file is taken"
sk A rule add consume id=98 --static >"$T/rule.log"
cp "$T/A/controlplane.ini" "$T/now.ini"
node_conf A controlplane "rule east" type=consume id=$((98 + 65536))
node_conf A controlplane "rule west" type=consume id=99
! sk A config reload 2>"$T/reload.log" || fail "two rules for one slot were taken"
expect "the rule in the way is named" grep -q 'slot of rule 98' "$T/reload.log"
expect "the other rule is not there" rule_gone A 99
cp "$T/now.ini" "$T/A/controlplane.ini"
sk A rule del 98

say "and goes with it; one by hand stays"
sk A transport add x "peer=$(node_key "$T/x.key")"
cp "$T/before.ini" "$T/A/controlplane.ini"
sk A config reload
same "b" "$(tp A b state)" ""
same "origin of x" "$(tp A x origin)" added
logs_clean B
nodes_end A B
