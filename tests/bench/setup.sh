#!/bin/bash
# Routes that a set-up node lays in a second of its processor time: ours against that of the Go peers, for the same who ask and the
# same nodes (Go peers, in one process), over the same dmsg server (Go). Three hops; one request a stream, as visors do.
#
#   tests/bench/setup.sh BUILD_DIR [--quick]
#
# The same 16 nodes lay all routes: streams that ours keeps to them are there for the next one. Go's opens them anew, as in 2024.
# All are on the loopback of one namespace, and share the processors: so time is not wall-clock time but the node's own. Beside
# it: how long one route takes while nothing else is asked for.
set -eEuo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
BUILD=$1 QUICK=${2:-}
SKYRAIL_BIN=$BUILD/release
PEER=$(realpath -m "$BUILD/interop/peer")
if [ ! -x "$PEER" ] && ! make -s "$BUILD/interop/peer" >/dev/null 2>&1; then
	echo "set-up node: left out, the Go peers of tests/interop can't be built" && exit 0
fi
# shellcheck source=tests/support/net.sh
. tests/support/net.sh
net_isolate tests/bench/setup.sh "$@"
# shellcheck source=tests/bench/_init.sh
. tests/bench/_init.sh
routes=1000
[ "$QUICK" != --quick ] || routes=200

# peer NAME COMMAND ARGUMENTS...: until it is killed
peer() {
	local name=$1
	"$PEER" "$2" -key "$T/$name.key" "${@:3}" >"$T/$name.out" 2>"$T/$name.log" &
	PID[$name]=$!
	wait_for 10 "$name" grep -q ready "$T/$name.out"
}
net_add N
for name in server go; do PK[$name]=$("$PEER" key "$T/$name.key"); done
SERVER=${PK[server]}@127.0.0.1:8081
PEER_BIN=$PEER
# shellcheck disable=SC2016
printf '#!/bin/sh\nexec ip netns exec N "%s" "$@"\n' "$PEER_BIN" >"$T/peer"
chmod +x "$T/peer"
PEER=$T/peer
peer server server 127.0.0.1:8081
peer go setup -server "$SERVER"
node_new N net_null0,no-rx=1
node_conf N controlplane "server s" "key=${PK[server]}" address=127.0.0.1:8081
PK[own]=$(node_key "$T/own.key")
node_conf N controlplane setup_node enable=yes "key_file=$T/own.key"
node_start N
go_pid=$(pgrep -f "$PEER_BIN setup -key $T/go.key")

# load PID KEY: appends the rate and the latency
load() {
	local before after
	before=$(cpu_ns "$1")
	"$PEER" load -server "$SERVER" "$2" "$routes" >"$T/idle" 2>"$T/load.log" || { tail -n 3 "$T/load.log" >&2 && return 1; }
	after=$(cpu_ns "$1")
	RATE=$(jq -n "($routes + 20) / (($after - $before) / 1e9)")
	IDLE=$(head -n 1 "$T/idle")
}
ours="" ours_idle="" theirs="" their_idle=""
for ((i = 0; i < rounds; i++)); do
	load "${PID[N.cp]}" "${PK[own]}"
	ours="$ours $RATE" ours_idle="$ours_idle $IDLE"
	load "$go_pid" "${PK[go]}"
	theirs="$theirs $RATE" their_idle="$their_idle $IDLE"
done
figure route_setups "routes / CPU s" "$ours" "$theirs" 5
figure route_setup_idle "us" "$ours_idle" "$their_idle"
kill "$go_pid"
node_stop N
node_kill go || true
node_kill server || true
