#!/bin/bash
# Streams through route groups over 1, 2 and 4 links: ours, whose routes our set-up node lays, against the Go peers', whose nodes have
# stcp over veth, as Skywire's have. Both are sealed from end to end, each link too. Gbit/s one way, with checksums in ours.
#
#   tests/bench/group.sh BUILD_DIR [--quick]
#
#   [A] ---- [B] ---- [C] ---- [D] ---- [E]      all of them clients of [S: dmsg server, set-up node]
#
# group_stream has rails whose devices are memory that two nodes share (memif), for what it costs to get a frame to a device is the
# device's. group_stream_veth has rails over veth, which moves one frame of 1500 bytes after the other on the time of its sender, where it
# takes 64 KiB of TCP at once; group_stream_stcp has stcp over veth, as Go's.
#
# All share the processors of one machine, so a stream over more links has less of them for each.
set -eEuo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
BUILD=$1 QUICK=${2:-}
SKYRAIL_BIN=$BUILD/release
PEER=$(realpath -m "$BUILD/interop/peer")
[ -x "$PEER" ] || make -s "$BUILD/interop/peer" >/dev/null 2>&1 || PEER=
# shellcheck source=tests/support/net.sh
. tests/support/net.sh
net_isolate tests/bench/group.sh "$@"
# shellcheck source=tests/bench/_init.sh
. tests/bench/_init.sh
[ -n "$PEER" ] || echo "  group_stream has no baseline: the Go peers of tests/interop can't be built"
bytes=200000000
[ "$QUICK" != --quick ] || bytes=50000000

# ---- the chain ----

chain=(A B C D E)
net_add S "${chain[@]}"
for i in 0 1 2 3; do
	net_link "${chain[i]}" "r$i" "10.1.$i.1/24" "${chain[i + 1]}" "l$i" "10.1.$i.2/24"
done
node_new S net_null0,no-rx=1
server=$(node_key "$T/S/dmsg.key") setup=$(node_key "$T/S/setup.key")
node_conf S controlplane dmsg_server listen=0.0.0.0:8081 "key_file=$T/S/dmsg.key"
node_conf S controlplane setup_node enable=yes "key_file=$T/S/setup.key"
# The files of a node, for each kind of links: NAME.KIND
of_kinds() {
	local n=$1 dp=$T/$1/dataplane.ini cp=$T/$1/controlplane.ini memif='socket-abstract=no\nexception = tap'
	cp "$dp" "$dp.veth"
	sed -E "s#net_af_packet.*iface=l(.*)#net_memif0,role=client,socket=$T/\1.sock,$memif#
		s#net_af_packet.*iface=r(.*)#net_memif1,role=server,socket=$T/\1.sock,$memif#" "$dp" >"$dp.memif"
	sed -E '/^\[port /,/^$/d' "$dp" >"$dp.stcp"
	cp "$cp" "$cp.veth"
	sed 's/10\.1\./10.3./' "$cp" >"$cp.memif"
	sed '/^\[transport before\]/,/^$/s/^address.*/type = stcp\ndial = no/; s/:7780/:7777\ntype = stcp/' "$cp" >"$cp.stcp"
	printf '[stcp]\nlisten = 0.0.0.0:7777\n' >>"$cp.stcp"
}
for i in "${!chain[@]}"; do
	n=${chain[i]} ports=()
	[ "$i" = 0 ] || ports+=("l$((i - 1))")
	[ "$i" = 4 ] || ports+=("r$i")
	node_new "$n" "${ports[@]}"
	net_link S "s$i" "10.2.$i.1/24" "$n" d0 "10.2.$i.2/24"
	node_conf "$n" controlplane "server s" "key=$server" "address=10.2.$i.1:8081"
	node_conf "$n" controlplane "route_setup_node ours" "key=$setup"
	node_conf "$n" controlplane routing bench_port=5
done
node_conf S controlplane "server s" "key=$server" address=10.2.0.1:8081
for i in 0 1 2 3; do
	node_peer "${chain[i]}" next "${chain[i + 1]}" "10.1.$i.2:7780"
	node_peer "${chain[i + 1]}" before "${chain[i]}" "10.1.$i.1:7780"
done
for n in "${chain[@]}"; do of_kinds "$n"; done
node_start S

ready() {
	local n
	for n in "${chain[@]}"; do
		[ "$(sk "$n" -j show transports | jq '[.[] | select(.state != "up")] | length')" = 0 ] && dmsg_is "$n" sessions 1 || return
	done
	dmsg_is S setup_sessions 1
}
# chain_start KIND
chain_start() {
	local i n p f
	for i in "${!chain[@]}"; do
		n=${chain[i]} p=0
		for f in dataplane controlplane; do cp "$T/$n/$f.ini.$1" "$T/$n/$f.ini"; done
		dp_start "$n"
		if [ "$1" = memif ]; then
			[ "$i" = 0 ] || { net_up "$n" sk-p0 "10.3.$((i - 1)).2/24" && p=1; }
			[ "$i" = 4 ] || net_up "$n" sk-p$p "10.3.$i.1/24"
		fi
		cp_start "$n"
	done
	wait_for 60 "transports and sessions" ready
}

# ours LINKS KIND: GBIT, a stream of $bytes from A
ours() {
	local via='' i way=()
	for ((i = 1; i < $1; i++)); do via=${via:+$via,}${PK[${chain[i]}]}; done
	[ -z "$via" ] || way=("via=$via" "type=$([ "$2" = stcp ] && echo stcp || echo rail)")
	ahead -5 "$BIN/skyrail" -s "$T/A/run/control.sock" -j bench route "${PK[${chain[$1]}]}:5" "${way[@]}" \
		size=$bytes way=there >"$T/ours.out" 2>"$T/dial.log" &
	wait $! || { cat "$T/dial.log" >&2 && return 1; }
	GBIT=$(jq .there.gbps "$T/ours.out")
}

# ---- the same of Go ----

declare -A GO=()
for n in "${chain[@]}"; do [ -z "$PEER" ] || GO[$n]=$("$PEER" key "$T/go.$n"); done
# go_at I COMMAND [ARGUMENTS...]: in the background, the peer of chain[I], which dials the next one unless it is the last
go_at() {
	local i=$1 n=${chain[$1]} options=()
	shift
	[ "$i" = "$links" ] || options+=(-stcp "${GO[${chain[i + 1]}]}@10.1.$i.2:7779")
	[ "$i" = 0 ] || options+=(-listen 0.0.0.0:7779)
	ahead -5 ip netns exec "$n" "$PEER" "$1" -key "$T/go.$n" "${options[@]}" "${@:2}" <"${input:-/dev/null}" >/dev/null 2>"$T/go.$n.log" &
	PID[go.$n]=$!
}
go_listens() { in_ns "$1" ss -ltn | grep -q :7779; }
# theirs LINKS: GBIT. Ids are 1 on the way there and 2 on the way back. Ends are of 2026: these say a
# handshake again that came before the other one knew of the group.
theirs() {
	local links=$1 i input='' rc=0
	local a=${GO[A]} z=${GO[${chain[$1]}]}
	go_at "$links" rlisten -gen 2026 -edge "1:2@${GO[${chain[links - 1]}]},$a" 3
	for ((i = links; i > 0; i--)); do
		[ $i = "$links" ] || go_at $i node -rule "1:1@${GO[${chain[i + 1]}]}" -rule "2:2@${GO[${chain[i - 1]}]}"
		wait_for 20 "Go's ${chain[i]}" go_listens "${chain[i]}"
	done
	input=$T/zeros
	go_at 0 rdial -gen 2026 -edge "2:1@${GO[B]},$z" "$z:3"
	wait "${PID[go.A]}" && wait "${PID[go.${chain[links]}]}" || rc=$?
	[ $rc = 0 ] || tail -n 3 "$T"/go.*.log >&2
	for ((i = 1; i < links; i++)); do node_kill "go.${chain[i]}" || true; done
	GBIT=$(sed -n 's/.*got \([0-9.]*\) MB\/s/\1/p' "$T/go.${chain[links]}.log" | awk '{ print $1 * 8 / 1000 }')
	return $rc
}
truncate -s $bytes "$T/zeros"

declare -A went=()
for links in 1 2 4; do
	for ((round = 0; round < rounds; round++)); do
		[ -z "$PEER" ] || { theirs $links && went[$links]+=" $GBIT"; }
	done
done
for kind in memif veth stcp; do
	chain_start $kind
	for links in 1 2 4; do
		ours='' name=group_stream_$links target=''
		[ $kind = memif ] || name=group_stream_${kind}_$links
		[ $name != group_stream_2 ] || [ -z "$PEER" ] || target=5
		for ((round = 0; round < rounds; round++)); do
			ours $links $kind
			ours+=" $GBIT"
		done
		figure $name "Gbit/s" "$ours" "${went[$links]:-}" $target
	done
	node_stop "${chain[@]}"
done
node_stop S
