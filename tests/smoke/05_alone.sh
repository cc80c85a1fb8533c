#!/bin/bash
# One node, one port, nobody else: it starts, shows all its tables, and stops without a trace.
#
#   [A] a0 ---- b0 [B: nothing runs]
. "$(dirname "$0")/_init.sh"

for p in skyrail skyrail-dataplane skyrail-controlplane; do
	expect "$p --version" grep -qE '^[^ ]+ [0-9]+\.[0-9]+' <("$BIN/$p" --version)
	expect "$p --help" grep -qi usage <("$BIN/$p" --help)
done

net_add A B
net_link A a0 10.1.1.1/24 B b0 10.1.1.2/24
node_new A a0
same "rights of the key file" "$(stat -c %a "$T/A/node.key")" 600
node_start A

for what in node ports workers transports rules drops rings memory edges neighbours counters dmsg servers sessions streams; do
	sk A show $what >"$T/$what.txt" || fail "show $what"
	sk A -j show $what >"$T/$what.json" || fail "show $what -j"
	expect "JSON of $what" jq -e . "$T/$what.json"
done
same "public key" "$(jq -r .pk "$T/node.json")" "${PK[A]}"
same "ports" "$(jq -r '.[0] | "\(.name) \(.kernel_if) \(.link_up)"' "$T/ports.json")" "p0 a0 true"
expect "port in the table" grep -q p0 "$T/ports.txt"
same "a port by name" "$(sk A show ports p0 --json | jq -r '.[].name')" p0
expect "help of a command" grep -q '^usage: skyrail show ports' <(sk A show ports --help)
if sk A --json show ports p0 nosuch >"$T/nosuch.json" 2>"$T/nosuch.txt"; then
	fail "a port that is not there"
fi
expect "it says which" grep -q "no port 'nosuch': see .skyrail show ports." "$T/nosuch.txt"
same "what is there is shown" "$(jq length "$T/nosuch.json")" 1
expect "config show" grep -qE 'udp_port|key_file' <(sk A config show)

# no thread of the data plane kept more than it takes to open its port again (net_admin, net_raw, ipc_lock), and none
# can get more
for set in CapInh CapAmb; do
	same "$set of all threads" "$(grep -h "$set" "/proc/${PID[A.dp]}/task/"*/status | awk '{print $2}' | sort -u)" 0000000000000000
done
for set in CapPrm CapEff CapBnd; do
	same "$set of all threads" "$(grep -h "$set" "/proc/${PID[A.dp]}/task/"*/status | awk '{print $2}' | sort -u)" 0000000000007000
done
same "new privileges" "$(awk '/NoNewPrivs/ {print $2}' "/proc/${PID[A.dp]}/status")" 1

# the kernel keeps its interface, and never answers for our port
expect "kernel's ping" in_ns B ping -q -c 2 -i 0.2 10.1.1.1
junk_counted() { [ "$(counter A drop_frame_type drop_frame_malformed)" -eq 2 ]; }
in_ns B bash -c 'echo hello >/dev/udp/10.1.1.1/7780; sleep 0.2; echo again >/dev/udp/10.1.1.1/7780'
wait_for 5 "junk counted" junk_counted
same "unreachables sent" "$(in_ns A nstat -asz IcmpOutDestUnreachs | awk '/Icmp/{print $2}')" 0
wait_for 5 "books" books A
nodes_end A
