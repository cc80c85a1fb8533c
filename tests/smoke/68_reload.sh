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

say "so is the node itself as its hypervisor"
cp "$T/before.ini" "$T/A/controlplane.ini"
node_conf A controlplane "hypervisor self" "key=${PK[A]}"
! sk A config reload 2>"$T/reload.log" || fail "the node has taken itself as its hypervisor"
expect "it says why" grep -q 'hypervisor self.*a key of the node itself' "$T/reload.log"

say "the same name: it becomes the configuration's, and notices nothing"
cp "$T/before.ini" "$T/A/controlplane.ini"
node_peer A b B 10.1.1.2:7780
sk A config reload >"$T/reload.log"
expect "what changed is told" grep -q "^changed: .*\[" "$T/reload.log"
same "and nothing" "$(sk A config reload)" "nothing changed"
same "origin" "$(tp A b origin)" configured
same "state" "$(tp A b state)" up
same "handshakes" "$(tp A b handshakes)" "$handshakes"

say "what was removed by hand is made again, and told"
ini=$(cat "$T/A/controlplane.ini")
node_conf A controlplane "rule lasting" type=consume id=97
node_conf A controlplane "edge tun9" address=10.9.9.1/24
sk A config reload
sk A transport del b
sk A rule del 97
sk A edge del tun9
same "told" "$(sk A config reload)" "changed: [transport b] is made again, [rule lasting] is made again, [edge tun9] is made again"
wait_for 20 "transport up" tp_up A b
expect "the rule" sk A show rules 97
expect "the edge" in_ns A ip link show dev tun9
same "and nothing" "$(sk A config reload)" "nothing changed"
handshakes=$(tp A b handshakes)
echo "$ini" >"$T/A/controlplane.ini"
sk A config reload

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

say "what waits for a restart is named, all of it, and marked, as long as it waits"
cp "$T/A/controlplane.ini" "$T/now.ini"
sed -i 's/^name = A$/name = Alpha/' "$T/A/controlplane.ini"
node_conf A controlplane dmsg sessions=3
node_conf A controlplane "server s" "key=${PK[B]}" address=10.1.1.2:8081
waits() { sk A -j config reload | jq -r '.waits[] | "[\(.section)] \(.key) \(.change)"'; }
in_force() { sk A -j config show "$1" | jq -r --arg k "$2" '.[] | select(.key == $k) | "\(.value)|\(.change)|\(.in_force)"'; }
sk A config reload >"$T/reload.log"
expect "each is named" grep -qF 'waits for a restart: [node] name, [dmsg] sessions, [server s] is new' "$T/reload.log"
expect "of them none has changed anything" grep -qx 'nothing changed that is taken now' "$T/reload.log"
same "again" "$(waits)" "$(printf '%s\n' '[node] name changed' '[dmsg] sessions changed' '[server s] null new')"
same "and nothing else" "$(sk A -j config reload | jq -c .changed)" '[]'
same "name" "$(in_force node name)" 'Alpha|changed|A'
same "a key that does not wait" "$(in_force node run_dir)" "$T/A/run|null|null"
same "a new server" "$(in_force "server s" address)" '10.1.1.2:8081|new|null'
expect "the table says so" grep -qE '^node +name +Alpha .* changed +A *$' <(sk A config show node)
cp "$T/now.ini" "$T/A/controlplane.ini"
same "back" "$(sk A config reload)" "changed: [node], [dmsg], [server s] is gone"
same "nothing waits" "$(waits)" ''

say "a place to listen at that is lost comes back with the file that had it"
stcp_at() { in_ns A ss -Hltn 'sport = :7777' | awk '{print $4}' | grep -v "^127" || true; }
in_ns A ip addr add 10.1.1.9/24 dev a0
node_conf A controlplane stcp listen=10.1.1.9:7777
sk A config reload
same "stcp" "$(stcp_at)" 10.1.1.9:7777
in_ns A ip addr del 10.1.1.9/24 dev a0
in_ns A python3 -c 'import socket, time
s = socket.create_server(("127.0.0.1", 7777))
time.sleep(600)' &
other=$!
wait_for 10 "another program" in_ns A grep -q ' 0100007F:1E61 .* 0A ' /proc/net/tcp
cp "$T/A/controlplane.ini" "$T/now.ini"
sed -i 's/^listen = 10.1.1.9:7777$/listen = 0.0.0.0:7777/' "$T/A/controlplane.ini"
! sk A config reload 2>"$T/reload.log" || fail "a place was taken that another program has"
same "neither" "$(stcp_at)" ""
cp "$T/now.ini" "$T/A/controlplane.ini"
in_ns A ip addr add 10.1.1.9/24 dev a0
same "nothing else" "$(sk A config reload)" "nothing changed"
same "stcp" "$(stcp_at)" 10.1.1.9:7777
kill $other
logs_clean B
nodes_end A B
