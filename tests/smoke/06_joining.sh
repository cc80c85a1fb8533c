#!/bin/bash
# docs/joining.md: its controlplane.ini is good with a set-up node's key, and a node that has it runs where none of its services
# is there; it says which. (With services: tests/interop/real.)
. "$(dirname "$0")/_init.sh"

awk '/^```/ { ini = $0 == "```ini"; next } ini' docs/joining.md >"$T/page.ini"
expect "the page has a file" test "$(grep -c . "$T/page.ini")" -gt 20
! "$BIN/skyrail" config check -c "$T/page.ini" 2>"$T/check.log" || fail "a set-up node without a key was taken"
expect "it names what is to be filled in" grep -q 'page.ini:[0-9]*: .*PUBLIC-KEY-OF-THE-SET-UP-NODE' "$T/check.log"
sed -i "s/PUBLIC-KEY-OF-THE-SET-UP-NODE/$(node_key "$T/setup.key")/" "$T/page.ini"
same "nothing else" "$("$BIN/skyrail" config check -c "$T/page.ini")" "$T/page.ini: good (control plane)"

net_add A
node_new A
rm "$T/A/controlplane.ini"
printf '127.0.0.1 localhost sky.example.org\n' >"$T/hosts"
mount --bind "$T/hosts" /etc/hosts
sed "s|^state_dir = .*|run_dir = $T/A/run\nkey_file = $T/A/node.key|" "$T/page.ini" >"$T/A/controlplane.ini"
node_start A
why() { sk A show discoveries | grep -q "^http://sky.example.org:9090: .*Connection refused"; }
wait_for 20 "why there is no server" why
same "and that there is none" "$(sk A show servers | head -n1)" "no servers"
expect "both listeners" test "$(in_ns A ss -tlnH 'sport = 7777 or sport = 7773' | wc -l)" = 2
nodes_end A
