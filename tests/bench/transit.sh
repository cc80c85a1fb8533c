#!/bin/bash
# Route packets that a node in the middle passes in a second of its processor time, each of which comes by stcp and leaves by stcp, with
# real noise on both: ours against the router of the Go peers, for the same ends (Go, in one process), which send as much as goes through.
#
#   tests/bench/transit.sh BUILD_DIR [--quick]
#
# All are on the loopback of one namespace, and share the processors: so time is not wall-clock time but the node's own, of both
# processes of ours. The Go router does less than a visor's (no log, no queue between readers and router): Skywire's takes about 12 us
# for a packet.
set -eEuo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
BUILD=$1 QUICK=${2:-}
SKYRAIL_BIN=$BUILD/release
PEER=$(realpath -m "$BUILD/interop/peer")
if [ ! -x "$PEER" ] && ! make -s "$BUILD/interop/peer" >/dev/null 2>&1; then
	echo "transit by stcp: left out, the Go peers of tests/interop can't be built" && exit 0
fi
# shellcheck source=tests/support/net.sh
. tests/support/net.sh
net_isolate tests/bench/transit.sh "$@"
# shellcheck source=tests/bench/_init.sh
. tests/bench/_init.sh

net_add N
for name in go a c; do PK[$name]=$("$PEER" key "$T/$name.key"); done
node_new N net_null0,no-rx=1
node_conf N controlplane stcp listen=127.0.0.1:7777
for name in a c; do node_conf N controlplane "transport $name" "peer=${PK[$name]}" type=stcp dial=no; done
node_start N
sk N rule add intermediary id=1 next=11 transport=c --static >/dev/null
go_node() { ahead -5 ip netns exec N "$PEER" node -key "$T/go.key" -listen 127.0.0.1:7778 -rule "1:11@${PK[c]}" >"$T/go.out" 2>"$T/go.log" & }
go_node
PID[go]=$!
wait_for 10 "the Go router" grep -q ready "$T/go.out"

# load SIZE KEY PORT PID...: RATE
load() {
	local size=$1 at=$2@127.0.0.1:$3 before after n
	shift 3
	before=$(cpu_ns "$@")
	n=$(ip netns exec N "$PEER" blast -key "$T/a.key" -stcp "$at" -size "$size" -for ${secs}s "$T/c.key" 1 2>"$T/load.log") ||
		{ tail -n 3 "$T/load.log" >&2 && return 1; }
	after=$(cpu_ns "$@")
	RATE=$(jq -n "$n / (($after - $before) / 1e9)")
}
for size in 64 512 1400; do
	ours="" theirs=""
	for ((i = 0; i < rounds; i++)); do
		load $size "${PK[N]}" 7777 "${PID[N.cp]}" "${PID[N.dp]}"
		ours="$ours $RATE"
		load $size "${PK[go]}" 7778 "${PID[go]}"
		theirs="$theirs $RATE"
	done
	figure transit_stcp_$size "packets / CPU s" "$ours" "$theirs"
done
node_kill go || true
node_stop N
