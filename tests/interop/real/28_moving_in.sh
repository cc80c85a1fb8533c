#!/bin/bash
# A visor is killed and its configuration moved in: our node has the visor's key, its entry in the discovery goes on with
# the next sequence, and a real client reaches it where the visor was.
#
#   [V] visor, then ours; [H] real client ---- [R: real server], [D: discovery]
. "$(dirname "$0")/_init.sh" redis-server dmsg-discovery dmsg-server skywire-visor skywire-cli transport-discovery \
	address-resolver dmsgcurl

real_net D=10 R=2 V=121 H=112
real_discovery
real_services
real_server R R
own_node V # the data plane; key and control plane come by the import
rm "$T/V/node.key" "$T/V/controlplane.ini"
visor_conf V
head -c "$BYTES" /dev/urandom >"$T/file"
FILE_SUM=$(sha256sum <"$T/file")

say "the visor"
visor_start V
wait_for 60 "V in the discovery" delegated "${PK[V]}" "${PK[R]}"
sequence=$(entry "${PK[V]}" .sequence)
real_end V KILL
mv "$T/V/V.log" "$T/V/visor.said"

say "moved in"
"$BIN/skyrail" import-config "$T/V/visor.json" -o "$T/V" 2>"$T/import.log" || fail "$(cat "$T/import.log")"
same "public key" "$(head -n1 "$T/import.log")" "${PK[V]}"
! grep -q "${SK[V]}" "$T/import.log" || fail "the key is shown"
sed -i "/^\[node\]/a run_dir = $T/V/run" "$T/V/controlplane.ini"
node_start V
same "identity" "$(sk V key show)" "${PK[V]}"
wait_for 30 "a session to the real server" own_session V
goes_on() { delegated "${PK[V]}" "${PK[R]}" && [ "$(entry "${PK[V]}" .sequence)" -gt "$sequence" ]; }
wait_for 60 "the visor's entry goes on" goes_on

say "reached where the visor was"
own_serve V
curl_from "${PK[V]}:$DIALLED" "real from ours"
served
row "real client (dmsgcurl) | real | our client, a visor before"
real_clean
logs_clean V
nodes_end V
