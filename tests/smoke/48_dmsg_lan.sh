#!/bin/bash
# A hypervisor's push: H tells A and B of its dmsg server in their LAN. They reach each other over it
# alone, and again after a restart without hypervisor and public server; what they learnt is in their
# configuration, or beside it when that can't be written.
#
#   [A] ---- [H: LAN server] ---- [B]      the LAN: 10.1.0.0/16
#    +------- [S: dmsg server] ----+       S has H, A and B as clients
. "$(dirname "$0")/_init.sh"

BYTES=20000000 PORT=4000 SERVER_PORT=8081

net_add A B H S
net_link H h0 10.1.1.1/24 A a0 10.1.1.2/24
net_link H h1 10.1.2.1/24 B b0 10.1.2.2/24
net_link H h2 198.51.100.2/30 S s0 198.51.100.1/30
net_link A a1 198.51.100.6/30 S s1 198.51.100.5/30
net_link B b1 198.51.100.10/30 S s2 198.51.100.9/30
ip -n B route add 10.1.1.0/24 via 10.1.2.1
node_new S s0 s1 s2
node_new H h0 h1 h2
node_new A a0 a1
node_new B b0 b1
SERVER=$(node_key "$T/S/dmsg.key")
node_conf S controlplane dmsg_server "listen=0.0.0.0:$SERVER_PORT" "key_file=$T/S/dmsg.key"
server() { node_conf "$1" controlplane "server s" "key=$SERVER" "address=$2:$SERVER_PORT"; }
server H 198.51.100.1
server A 198.51.100.5
server B 198.51.100.9
for n in A B; do
	node_conf "$n" controlplane "hypervisor h" "key=${PK[H]}"
	printf '; words of the owner\n  ; and more\n' >>"$T/$n/controlplane.ini"
	cp "$T/$n/controlplane.ini" "$T/$n.ini"
done
printf '[lan_server]\n; ours\nenable = yes ; as agreed\n' >>"$T/H/controlplane.ini"
cp "$T/H/controlplane.ini" "$T/H.ini"
for n in A B; do node_conf H controlplane "visor $n" "key=${PK[$n]}"; done

lan() { sk "$1" -j show servers | jq -r '.[] | select(.kind == "lan") | .'"$2"; }
public() { sk "$1" -j show servers | jq -r '.[] | select(.kind == "") | .'"$2"; }
lan_open() { [ "$(lan "$1" state)" = open ]; }
public_lost() { ! public_open "$1"; }
public_open() { [ "$(public "$1" state)" = open ]; }
stop_cp() { for n in "$@"; do node_kill "$n.cp" TERM || fail "control plane of $n ended with $?"; done; }
head -c "$BYTES" /dev/urandom >"$T/file"

say "the push"
node_start S H A B
for n in A B; do wait_for 30 "LAN session of $n" lan_open "$n"; done
same "address that H tells" "$(dmsg H lan_address)" "10.1.1.1:$(dmsg H lan_address | cut -d: -f2)"
for n in A B; do
	same "server of $n" "$(lan "$n" name)" "$(dmsg H lan_address)"
	same "its key" "$(lan "$n" pk)" "$(dmsg H lan_pk)"
	same "who told of it" "$(lan "$n" by)" "${PK[H]}"
	same "hypervisors of $n" "$(sk "$n" -j show hypervisors | jq -r '.[] | "\(.pk) \(.state)"')" "${PK[H]} open"
	same "pushes of $n" "$(dmsg "$n" pushes_taken)" 1
	wait_for 20 "the public server, too, at $n" public_open "$n"
done
wait_for 5 "answers" dmsg_is H pushed 2
same "visors" "$(dmsg H visors)" 2
wait_for 20 "clients in the LAN, with H" dmsg_is H lan_clients 3
printf 'GET / HTTP/1.0\r\n\r\n' | in_ns A curl -sS -m 5 "telnet://$(dmsg H lan_address)" >/dev/null 2>&1 || true
lan_counter() { sk H -j show counters | jq --arg c "$1" '.[] | select(.of == "dmsg LAN server" and .name == $c) | .value'; }
expect "its sessions are counted" test "$(lan_counter dmsg_sessions_opened)" -ge 3
expect "and what it refused" test "$(lan_counter drop_dmsg_shakes)" -ge 1

say "what was learnt is in the configuration, and the rest of it is as it was"
for n in A B H; do
	f=$T/$n/controlplane.ini
	same "mode of $n's" "$(stat -c %a "$f")" 600
	same "lines of $n's that are gone" "$(diff "$T/$n.ini" "$f" | grep -c '^<')" 0
	sk "$n" config check "$f" >/dev/null || fail "$n's configuration is not good any more"
done
same "saved by A" "$(sed -n '/saved_lan_server 1/,$p' "$T/A/controlplane.ini")" "$(printf '%s\n' \
	'[saved_lan_server 1]' "key = $(dmsg H lan_pk)" "address = $(dmsg H lan_address)" \
	'public_address = ' "hypervisor = ${PK[H]}")"
secret=$(sed -n 's/^secret_key = //p' "$T/H/controlplane.ini")
same "digits of the key" "${#secret}" 64
! sk H config show | grep -q "$secret" || fail "the key is shown"
! grep -qr "$secret" "$T"/*/*.log || fail "the key is in a log"
inode=$(stat -c %i "$T/A/controlplane.ini")

say "A to B over the LAN alone"
node_kill S.cp KILL || true
for n in A B; do wait_for 20 "$n has lost the public server" public_lost "$n"; done
carry A B "$PORT"

say "again after a restart, without hypervisor and public server"
at=$(dmsg H lan_address)
stop_cp A B H
cp "$T/H.ini" "$T/H/controlplane.ini"
printf 'port = %s\nsecret_key = %s\n' "${at#*:}" "$secret" >>"$T/H/controlplane.ini"
for n in H A B; do cp_start "$n"; done
for n in A B; do wait_for 30 "LAN session of $n" lan_open "$n"; done
carry A B "$PORT"
same "hypervisor of A" "$(sk A -j show hypervisors | jq -r '.[].state' | grep -c open)" 0
why() { [ "$(sk "$1" -j show hypervisors | jq -r '.[0].error')" = "$2" ]; }
wait_for 10 "and why" why A "it closed the stream"
expect "who told of the server" grep -q "told by a hypervisor: key=${PK[H]:0:8} address=$at" "$T/A/controlplane.log"
expect "the log, too" grep -q "hypervisor lost: key=${PK[H]:0:8}: it closed the stream" "$T/A/controlplane.log"
expect "a stranger asked H" test "$(dmsg H strangers)" -ge 1
expect "which one" grep -q "asks for its hypervisor: key=${PK[A]:0:8}" "$T/H/controlplane.log"
same "A's file was not written again" "$(stat -c %i "$T/A/controlplane.ini")" "$inode"

say "a configuration that nobody may write stays, and the state directory has the values"
stop_cp B
cp "$T/B.ini" "$T/B/controlplane.ini"
chmod 0400 "$T/B/controlplane.ini"
stop_cp H
for n in A B; do node_conf H controlplane "visor $n" "key=${PK[$n]}"; done
cp_start S
cp_start H
cp_start B
wait_for 90 "LAN session of B" lan_open B
same "B's file" "$(cat "$T/B/controlplane.ini")" "$(cat "$T/B.ini")"
expect "a warning" grep -q "can't be written" "$T/B/controlplane.log"
learnt=$(find "$T/B" -name learnt.ini)
expect "learnt by B" grep -q "^key = $(dmsg H lan_pk)" "$learnt"
same "mode" "$(stat -c %a "$learnt")" 600
node_kill S.cp KILL || true
stop_cp B
cp_start B
wait_for 30 "LAN session of B" lan_open B
carry A B "$PORT"

say "the LAN's server is gone: public ones again"
node_kill H.cp KILL || true
stop_cp A B
cp_start S
cp_start A
cp_start B
for n in A B; do wait_for 60 "public session of $n" public_open "$n"; done
carry A B "$PORT"

say "a visor without a LAN server is refused"
printf '[visor v]\nkey = %s\n' "${PK[A]}" >"$T/bad.ini"
! "$BIN/skyrail" config check "$T/bad.ini" >"$T/bad.log" 2>&1 || fail "taken"
expect "it says why" grep -q 'nothing to tell it' "$T/bad.log"
cp_start H
logs_clean A B H S
nodes_end A B H S
