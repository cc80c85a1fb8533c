#!/bin/bash
# Streams through route groups over 1, 2 and 4 links: ours, whose nodes have rails between them and whose routes our set-up node
# lays, against the Go peers', whose nodes have stcp, as Skywire's have. Both are sealed from end to end, each link too. Gbit/s one way,
# with checksums in ours.
#
#   tests/bench/group.sh BUILD_DIR [--quick]
#
#   [A] ---- [B] ---- [C] ---- [D] ---- [E]      all of them clients of [S: dmsg server, set-up node]
#
# All share the processors of one machine, so a stream over more links has less of them for each; veth moves a frame of a rail on the time of
# its sender.
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
node_start S "${chain[@]}"
ready() {
	local n
	for n in "${chain[@]}"; do
		[ "$(sk "$n" -j show transports | jq '[.[] | select(.state != "up")] | length')" = 0 ] && dmsg_is "$n" sessions 1 || return
	done
	dmsg_is S setup_sessions 1
}
wait_for 60 "transports and sessions" ready

# ours LINKS: GBIT, a stream of $bytes from A
ours() {
	local via='' i
	for ((i = 1; i < $1; i++)); do via=${via:+$via,}${PK[${chain[i]}]}; done
	ahead -5 "$BIN/skyrail" -s "$T/A/run/control.sock" -j bench route "${PK[${chain[$1]}]}:5" ${via:+"via=$via"} \
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

for links in 1 2 4; do
	ours="" theirs=""
	for ((round = 0; round < rounds; round++)); do
		ours $links
		ours="$ours $GBIT"
		[ -n "$PEER" ] || continue
		theirs $links
		theirs="$theirs $GBIT"
	done
	target=''
	[ $links != 2 ] || [ -z "$PEER" ] || target=5
	figure group_stream_$links "Gbit/s" "$ours" "$theirs" $target
done
node_stop "${chain[@]}" S
