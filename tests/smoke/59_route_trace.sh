#!/bin/bash
# Traces: round trips to each node of a way by loops, which leave nothing behind; nodes by their names; a node that passes
# nothing on, one that is not there, one that is deaf; and what is counted.
#
#   [A] a0 ---- b0 [B] b1 ---- W ---- c0 [C]
#   all are clients of [S: dmsg server], where the set-up node is, too
. "$(dirname "$0")/_init.sh"

PORT=8081

net_add A B C S W
IP_A=10.1.1.1 IP_BA=10.1.1.2 IP_BC=10.1.2.1 IP_C=10.1.2.2
net_link A a0 $IP_A/24 B b0 $IP_BA/24
net_wire B b1 $IP_BC/24 C c0 $IP_C/24
net_link S s0 10.2.1.1/24 A a1 10.2.1.2/24
net_link S s1 10.2.2.1/24 B b2 10.2.2.2/24
net_link S s2 10.2.3.1/24 C c1 10.2.3.2/24
chain_nodes
node_new S net_null0,no-rx=1
SERVER=$(node_key "$T/S/dmsg.key")
SETUP=$(node_key "$T/S/setup.key")
node_conf S controlplane dmsg_server "listen=0.0.0.0:$PORT" "key_file=$T/S/dmsg.key"
client() { node_conf "$1" controlplane "server s" "key=$SERVER" "address=$2:$PORT"; }
client S 10.2.1.1
client A 10.2.1.1
client B 10.2.2.1
client C 10.2.3.1
node_conf S controlplane setup_node enable=yes "key_file=$T/S/setup.key"
for n in A B C; do node_conf $n controlplane "route_setup_node s" "key=$SETUP"; done
node_conf A controlplane "peer far" "key=${PK[C]}"
node_start S A B C
wait_for 20 "all transports up" chain_up
for n in A B C; do wait_for 20 "a session of $n" dmsg_is $n sessions 1; done
wait_for 20 "a session of the set-up node" dmsg_is S setup_sessions 1

has_rules() { [ "$(rules B)" -gt 0 ]; }
rules() { sk "$1" -j show rules | jq length; }
no_rules() { [ "$(rules A)$(rules B)$(rules C)" = 000 ]; }
# trace WHAT...: table in $T/trace, JSON of it too, what it says in $T/why
trace() { sk A -j route trace "$@" >"$T/trace" 2>"$T/why"; }
of() { jq -r "$1" "$T/trace"; }
refused() { ! trace "$@"; }
why() { grep -qF "$1" "$T/why" || fail "'$1' is not in: $(cat "$T/why")"; }

say "two hops, by names"
sk A route trace far via=b pings=4 | tee "$T/table"
same "lines" "$(wc -l <"$T/table")" 3
trace far via=b pings=4
same "hops" "$(of '[.[] | "\(.hop) \(.pk) \(.sent) \(.lost)"] | join(", ")')" "1 ${PK[B]} 4 0, 2 ${PK[C]} 4 0"
same "its figures" "$(of 'all(.min_us > 0 and .min_us <= .avg_us and .avg_us <= .max_us and .laid_us > 0)')" true
wait_for 3 "loops are closed, not expired" no_rules
same "strays" "$(count A drop_no_edge)" 0
same "what the set-up node laid" "$(sk S -j show setups | jq -r '[.[].kind] | unique | join(" ")')" loop

say "a neighbour"
trace "${PK[B]}"
same "hops" "$(of '[.[] | "\(.hop) \(.pk) \(.lost)"] | join(", ")')" "1 ${PK[B]} 0"

say "wrong usage"
expect "our own key" refused "${PK[A]}" && why "that is this node's own key"
expect "no such name" refused nobody && why "'nobody' is neither a public key"
expect "too many pings" refused far via=b pings=101 && why "pings=101: expected a number from 1 to 100"
expect "no way" refused far && why "there is no transport to that node"
expect "a way that is none" refused b via=far && why "there is no transport to ${PK[C]} that is up"

say "a node that passes nothing on"
node_conf C controlplane routing no_transit=yes
sk C config reload >"$T/reload.log"
expect "refused" refused far via=b && why "hop 2, ${PK[C]:0:8}, is not reached" && why "visor does not transit routes"
same "the first hop all the same" "$(of '[.[] | "\(.hop) \(.lost) \(.note)" | .[:5]] | join(",")')" "1 0 ,2 0 s"
wait_for 3 "nothing is left" no_rules
sed -i 's/no_transit = yes/no_transit = no/' "$T/C/controlplane.ini"
sk C config reload >"$T/reload.log"

say "a link that is dead, which nobody knows yet"
in_ns W nft -f - <<-END
	table netdev shut {
		chain c { type filter hook ingress devices = { wb1, wc0 } priority 0; policy drop; }
	}
END
expect "no answer" refused far via=b pings=3 timeout=30s
why "hop 2, ${PK[C]:0:8}, does not answer: no ping that was sent over it came back"
same "what it lost" "$(of '.[1] | "\(.sent) \(.lost) \(.avg_us)"')" "3 3 null"
in_ns W nft delete table netdev shut
wait_for 30 "nothing is left" no_rules
wait_for 30 "all transports up" chain_up

say "no time for all of it"
expect "not done" refused far via=b pings=100 timeout=1s && why "not done in 1.0 s: hop 1, ${PK[B]:0:8}, was still being"

say "no set-up node: there is nothing to show but that"
sed -i.all '/^\[route_setup_node s\]/,/^key/d' "$T/A/controlplane.ini"
sk A config reload >"$T/reload.log"
! sk A route trace far via=b >"$T/table" 2>"$T/why" || fail "it is traced"
same "the table" "$(wc -c <"$T/table")" 0
same "what it says" "$(<"$T/why")" "skyrail: trace: no set-up node is known: add a [route_setup_node NAME]"
mv "$T/A/controlplane.ini.all" "$T/A/controlplane.ini"
sk A config reload >"$T/reload.log"

say "a client that goes away"
sk A route trace far via=b pings=100 >"$T/out" 2>&1 &
wait_for 10 "a loop" has_rules
kill $!
wait $! || true
wait_for 3 "nothing is left" no_rules

say "what is counted"
same "traces" "$(count A route_traces)" 10
same "that failed" "$(count A route_traces_failed)" 6
for n in A B C; do same "groups of $n" "$(count $n groups_accepted)" 0; done

logs_clean A B C S
nodes_end A B C S
