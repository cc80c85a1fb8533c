#!/bin/bash
# A visor's configuration is moved in: A's node has the visor's key, its dmsg server and its
# hypervisor, and says what it has no use for; what is wrong with a file is told by its field, and
# nothing is written then.
#
#   [A: was a visor] ---- [S: dmsg server, hypervisor]
. "$(dirname "$0")/_init.sh"

SERVER_PORT=8081 VISOR=$T/skywire-config.json OUT=$T/moved

net_add A S
net_link A a0 10.1.1.2/24 S s0 10.1.1.1/24
node_new S s0
node_new A a0
SERVER=$(node_key "$T/S/dmsg.key")
node_conf S controlplane dmsg_server "listen=0.0.0.0:$SERVER_PORT" "key_file=$T/S/dmsg.key"
node_conf S controlplane "server self" "key=$SERVER" "address=10.1.1.1:$SERVER_PORT"
node_conf S controlplane lan_server "enable=yes" "port=8085"
VISOR_SK=$(head -n1 "$T/A/node.key")
rm "$T/A/node.key"

# visor FILTER...: what skywire-cli writes, with the key of A and services of this network
visor() {
	jq --arg sk "$VISOR_SK" --arg pk "${PK[A]}" --arg server "$SERVER" --arg over "${PK[S]}" \
		--arg at "10.1.1.1:$SERVER_PORT" '.sk = $sk | .pk = $pk | .dmsg.discovery = "" |
		.dmsg.servers = [.dmsg.servers[0] | .static = $server | .server.address = $at] |
		.hypervisors = [$over] | '"${1:-.}" tests/vectors/skywire-config-2024.json >"$VISOR"
	chmod 600 "$VISOR"
}
import() { "$BIN/skyrail" import-config "$VISOR" "$@" >"$T/out.log" 2>"$T/err.log"; }
# refused CODE PATTERN ARGUMENTS...: ends with the code, says so, writes nothing
refused() {
	local code=$1 pattern=$2 rc=0
	shift 2
	import "$@" || rc=$?
	same "exit of import-config $*" "$rc" "$code"
	expect "'$pattern' from $*: $(cat "$T/err.log")" grep -qE -- "$pattern" "$T/err.log"
	expect "nothing on standard output" test ! -s "$T/out.log"
	[ ! -e "$OUT" ] || fail "something was written: $*"
	! grep -q "$VISOR_SK" "$T/err.log" || fail "the key is shown"
}

say "what is wrong is told by the visor's fields"
visor
refused 2 'usage: skyrail import-config' -o
refused 2 'usage: skyrail import-config' -o "$OUT" --forced
refused 2 'goes with -o DIR' --key "$T/x.key"
refused 1 'nowhere: no such directory' -o "$OUT" --key "$T/nowhere/node.key"
visor '.routing.min_hops = -1'
refused 1 "config.json: routing.min_hops: key min_hops: '-1' is not between 1 and 50" -o "$OUT"
visor '.pk = .dmsg.servers[0].static'
refused 1 "config.json: pk: is not the public key of sk, which is ${PK[A]}" -o "$OUT"
visor '.dmsg.servers += [.dmsg.servers[0] | .static = 7]'
refused 1 'config.json: dmsg.servers\[1\].static: must be a text, not a number' -o "$OUT"
visor '.dmsg.servers[0].server.address = "10.1.1.1" | .dmsg.discovery = "ftp://x"'
refused 1 'config.json: dmsg.servers\[0\].server.address: .*must be HOST:PORT' -o "$OUT"
expect "the second mistake" grep -q 'config.json: dmsg.discovery: .*ftp://x is no URL' "$T/err.log"
refused 1 'config.json: dmsg.discovery: .*ftp://x is no URL'
tr -d : <"$VISOR" >"$T/broken" && mv "$T/broken" "$VISOR"
refused 1 'config.json: line 2, column [0-9]+: no JSON: .:. expected' -o "$OUT"
mkdir "$T/alone" && cp "$BIN/skyrail" "$T/alone/"
visor
! PATH=/usr/bin:/bin "$T/alone/skyrail" import-config "$VISOR" -o "$OUT" 2>"$T/err.log" || fail "it is not checked"
expect "it says why" grep -q 'not checked: skyrail-controlplane' "$T/err.log"
[ ! -e "$OUT" ] || fail "something was written"

say "shown, and then written"
import
! grep -q "$VISOR_SK" "$T/out.log" "$T/err.log" || fail "the key is shown"
expect "the server" grep -q "^key = $SERVER" "$T/out.log"
[ ! -e "$OUT" ] || fail "something was written"
import -o "$OUT"
expect "its table of addresses" grep -q "^type = stcp" "$OUT/controlplane.ini"
expect "where peers call" grep -q "^listen = \[::\]:7777" "$OUT/controlplane.ini"
expect "who may call" grep -q "^allow = any" "$OUT/controlplane.ini"
expect "and that it is said" grep -q '^\[peers\] allow = any: ' "$T/err.log"
expect "how many of each" grep -q '^1 route set-up node, 2 transport set-up nodes, 2 transports' "$T/err.log"
same "public key" "$(head -n1 "$T/err.log")" "${PK[A]}"
for field in transport.public_autoconnect launcher.service_discovery launcher.apps uptime_tracker survey_whitelist; do
	expect "$field is named" grep -q "^  $field  " "$T/err.log"
done
! grep -q "$VISOR_SK" "$T/out.log" "$T/err.log" || fail "the key is shown"
same "mode of the key" "$(stat -c %a "$OUT/node.key")" 600
same "files" "$(cd "$OUT" && echo * .[!.]*)" "controlplane.ini node.key .[!.]*"
same "the key" "$("$BIN/skyrail" key show "$OUT/node.key")" "${PK[A]}"
expect "the check" "$BIN/skyrail" config check "$OUT/controlplane.ini"

say "nothing is written over unless that is said"
echo mine >"$OUT/controlplane.ini"
! import -o "$OUT" || fail "a file was written over"
expect "it says what to do" grep -q 'controlplane.ini is there already: --force' "$T/err.log"
same "it is as it was" "$(cat "$OUT/controlplane.ini")" mine
rm "$OUT/controlplane.ini"
import -o "$OUT"
expect "the key is that one already" grep -q 'node.key (the key, as it was)' "$T/err.log"
! import -o "$OUT" --key "$T/S/node.key" --force || fail "another key was written over"
expect "it says whose" grep -q "holds another key, of ${PK[S]}" "$T/err.log"
same "key of S" "$("$BIN/skyrail" key show "$T/S/node.key")" "${PK[S]}"
chmod 644 "$VISOR"
"$BIN/skyrail" import-config - <"$VISOR" >"$T/out.log" 2>"$T/err.log"
expect "which file" grep -q '^the file on standard input can be read by others' "$T/err.log"
expect "what -o adds" grep -q 'nothing was written.* key_file and state_dir' "$T/err.log"
echo mine >"$OUT/controlplane.ini.new"
import -o "$OUT" --force
same "a file beside it" "$(cat "$OUT/controlplane.ini.new")" mine
rm "$OUT/controlplane.ini.new"
same "files" "$(cd "$OUT" && echo *)" "controlplane.ini node.key"
expect "others can read the visor's" grep -q 'can be read by others' "$T/err.log"
"$BIN/skyrail" import-config - -o "$T/other" --key "$T/other.key" <"$VISOR" 2>/dev/null
same "from standard input" "$("$BIN/skyrail" key show "$T/other.key")" "${PK[A]}"
expect "its place" grep -q "^key_file = $T/other.key\$" "$T/other/controlplane.ini"

say "files with secrets are for the node's user"
mkdir "$T/state" "$T/etc"
cp tests/vectors/skywire-config-2026.json "$VISOR"
import -o "$T/etc" --key "$T/state/node.key" && grep -q '^secret_key = ' "$T/etc/controlplane.ini"
same "mode of a configuration with a key in it" "$(stat -c %a "$T/etc/controlplane.ini")" 600
if chown 1:1 "$T/state" 2>/dev/null; then
	rm "$T/state/"*.key
	import -o "$T/etc" --key "$T/state/node.key" --force
	same "owners" "$(stat -c %u:%a "$T/etc/controlplane.ini" "$T/state/"*.key | tr '\n' ' ')" "1:600 1:600 1:600 "
fi
expect "the set-up node's key" grep -q "^key_file = $T/state/setup-node.key\$" "$T/etc/controlplane.ini"
import
! grep -q secret_key "$T/out.log" || fail "the key of the LAN's server is shown"

say "the node that is made of it"
node_conf S controlplane "visor A" "key=${PK[A]}"
node_start S
sed -i "/^\[node\]/a run_dir = $T/A/run" "$OUT/controlplane.ini"
cp "$OUT/controlplane.ini" "$T/A/controlplane.ini"
node_start A
same "identity" "$(sk A key show)" "${PK[A]}"
servers() { sk A -j show servers | jq -r '.[] | select(.kind == "'"$1"'") | "\(.pk) \(.name) \(.state)"'; }
open() { [ "$(servers "")" = "$SERVER 10.1.1.1:$SERVER_PORT open" ]; }
wait_for 20 "session to the visor's server" open
under() { [ "$(sk A -j show hypervisors | jq -r '.[] | "\(.pk) \(.state)"')" = "${PK[S]} open" ]; }
wait_for 20 "the visor's hypervisor" under
told() { [ "$(servers lan | cut -d' ' -f2-)" = "10.1.1.1:8085 open" ]; }
wait_for 20 "what the hypervisor tells" told
logs_clean A S
nodes_end A S
