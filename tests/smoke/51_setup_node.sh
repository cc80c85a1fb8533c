#!/bin/bash
# A set-up node as an operator starts one: its key is made, told and published, sessions and entry are shown as those of
# that role, others reach it by that key, and what is no call is counted. Routes are laid in tests/interop/60_setup_node.sh.
#
#   [N: set-up node] ---- [S: dmsg server, discovery] ---- [A]
. "$(dirname "$0")/_init.sh"

SERVER_PORT=8081 KEY_FILE=$T/N/setup.key

net_add N S A
net_link N n0 10.1.1.2/24 S s0 10.1.1.1/24
net_link A a0 10.1.2.2/24 S s1 10.1.2.1/24
node_new S s0 s1
node_new N n0
node_new A a0
SERVER=$(node_key "$T/S/dmsg.key")
node_conf S controlplane dmsg_server "listen=0.0.0.0:$SERVER_PORT" "key_file=$T/S/dmsg.key"
node_conf N controlplane "server s" "key=$SERVER" "address=10.1.1.1:$SERVER_PORT"
node_conf A controlplane "server s" "key=$SERVER" "address=10.1.2.1:$SERVER_PORT"
node_conf N controlplane dmsg discovery=http://10.1.1.1:9090
node_conf N controlplane setup_node enable=yes "key_file=$KEY_FILE"

ip netns exec S python3 tests/support/dmsg_discovery.py 10.1.1.1 9090 >"$T/discovery.log" 2>&1 &
entry() { in_ns S curl -sS -m 5 "http://10.1.1.1:9090/dmsg-discovery/entry/$1" | jq -r "$2"; }
node_start S N A

say "its key"
KEY=$(dmsg N setup_pk)
same "the key of the file" "$("$BIN/skyrail" key show "$KEY_FILE" | grep -oE '0[23][0-9a-f]{64}' | head -n1)" "$KEY"
same "its mode" "$(stat -c %a "$KEY_FILE")" 600
expect "it is in the log" grep -q "setup_node: key=$KEY" "$T/N/controlplane.log"
[ "$KEY" != "${PK[N]}" ] || fail "it is the node's"

say "its sessions and its entry"
lists() { sk N -j show "$1" | jq -r ".[] | \"\(.role) $2\"" | sort; }
is_listed() { [ "$(lists discoveries '\(.listed)')" = $'client true\nset-up node true' ]; }
wait_for 20 "both entries" is_listed
wait_for 20 "its session" dmsg_is N setup_sessions 1
wait_for 20 "the node's" dmsg_is N sessions 1
same "sessions" "$(lists sessions '\(.pk)')" "client $SERVER"$'\n'"set-up node $SERVER"
expect "whose it is" grep -q "session open: server=.*, of the set-up node\$" "$T/N/controlplane.log"
at_server() { [ "$(sk S -j show sessions | jq -r '.[].pk' | sort)" = "$(printf '%s\n' "$KEY" "${PK[N]}" "${PK[A]}" | sort)" ]; }
wait_for 20 "sessions at the server" at_server
delegated() { [ "$(entry "$KEY" '.client.delegated_servers[0]')" = "$SERVER" ]; }
wait_for 20 "the server in its entry" delegated

say "who dials it"
! sk A dmsg dial "$KEY:4000" </dev/null 2>"$T/dial.log" || fail "a port that it has not"
expect "why" grep -q 'nobody listens on that port' "$T/dial.log"
unheard() { sk N -j show counters | jq --arg of "$1" '.[] | select(.of == $of and .name == "drop_dmsg_no_listener") | .value'; }
same "counted with the set-up node's client" "$(unheard "dmsg set-up client")" 1
same "and not with the node's" "$(unheard "dmsg client")" 0
rubbish() { sk N -j show counters | jq -e 'any(.name == "drop_setup_rubbish" and .value == '"$1"')'; }
printf '\200' | sk A dmsg dial "$KEY:36" 2>"$T/dial.log" || true
wait_for 20 "that it was no length" rubbish 1
echo hello | sk A dmsg dial "$KEY:36" 2>"$T/dial.log" || true
wait_for 20 "that it was no call" rubbish 2
same "set-ups" "$(sk N show setups)" "no setups"

say "the server is gone"
node_kill S.cp KILL || true
wait_for 20 "no session" dmsg_is N setup_sessions 0
wait_for 20 "nor one of the node" dmsg_is N sessions 0
same "sessions" "$(sk N show sessions)" "no sessions"
cp_start S
wait_for 60 "again" dmsg_is N setup_sessions 1

say "its entry goes with it"
gone() { [ "$(entry "$KEY" .code)" = 404 ]; }
nodes_end N
wait_for 10 "no entry" gone
same "a node that is none" "$(dmsg A setup_node) $(dmsg A setup_pk) $(dmsg A setup_sessions)" "false null null"
logs_clean N A S
nodes_end A S
