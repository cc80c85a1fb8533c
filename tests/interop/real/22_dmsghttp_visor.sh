#!/bin/bash
# A visor that reaches its services by dmsg at our server. It runs two clients with one key: both stay, and each
# entry that one of them renews by a stream of the other is answered. Beside it a plain visor. RENEWALS=20 makes this
# 20 minutes, in which each visor also opens four transports to itself. A node of ours that knows the discovery by dmsg
# only finds the visors, too.
#
#   [X] [V] visors, [E] ours ---- [S: our server] ---- [D] discovery and transport discovery, also by dmsg
. "$(dirname "$0")/_init.sh" redis-server dmsg-discovery skywire-visor skywire-cli transport-discovery address-resolver

real_net D=10 S=1 E=103 X=121 V=122
real_discovery
own_server_up S
real_dmsg_discovery "$SERVER"
real_key tpd
real_services --sk "${SK[tpd]}"
wait_for 90 "the transport discovery at our server" own_has S "${PK[tpd]}"

visor_conf X ".dmsg.discovery = \"dmsg://${PK[disc2]}:80\" | .transport.discovery = \"dmsg://${PK[tpd]}:80\" |
	.dmsg.servers = [{version: \"0.0.1\", sequence: 0, timestamp: 0, static: \"$SERVER\",
		server: {address: \"${ADDR[S]}:8081\", availableSessions: 2048}}]"
visor_conf V
visor_start X V
wait_for 60 "both clients of X" own_has S "${PK[X]}" 2
for n in X V; do wait_for 60 "$n in the discovery" delegated "${PK[$n]}" "$SERVER"; done

own_by_dmsg E "$SERVER" S
head -c "$BYTES" /dev/urandom >"$T/X/files/file"
FILE_SUM=$(sha256sum <"$T/X/files/file")
own_get E "${PK[X]}:80" file "$T/copy"
whole "$T/copy" "looked up by dmsg"
row "our client | ours | discovery by dmsg, visor by dmsg"

clients() { sk S -j show dmsg | jq -c '[.clients, .clients_opened, .clients_replaced]'; }
sequence() { entry "${PK[X]}" .sequence; }
renewed() { [ "$(sequence)" -gt "$1" ]; }
before=$(clients)
for ((i = 1; i <= ${RENEWALS:-2}; i++)); do
	say "renewal $i"
	wait_for 80 "the entry is renewed" renewed "$(sequence)"
	for n in X V; do
		expect "$n runs" alive $n
		expect "self-transport of $n" visor_tp $n dmsg "${PK[$n]}"
	done
	same "sessions, those opened, those replaced" "$(clients)" "$before"
	expect "both clients of X" own_has S "${PK[X]}" 2
	real_clean
done
row "visor by dmsg | ours | discovery, transport discovery"
logs_clean S E
own_leaves E
nodes_end S
