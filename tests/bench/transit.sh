#!/bin/bash
# What a node in the middle costs: route packets that come to it by stcp and leave it by stcp, with real noise on both, by the
# processor time that it takes for them. Ours against a visor (SKYWIRE_BIN=DIR names Skywire's programs), else against the router of
# the Go peers, which does less than a visor's; the report says which.
#
#   tests/bench/transit.sh BUILD_DIR [--quick]
#
#   [Go peer] --stcp-- [A: ours] --stcp-- [N: the middle] --stcp-- [C: ours] --stcp-- [the same Go peer]
#
# The ends are the same for each middle, and a stream is as fast as its slowest node: the Go peer sends as much as goes through, and
# all of it has to come. All share the processors: so time is not wall-clock time but the middle's own, of both processes of ours, with
# the soft interrupts on top of them.
#
# transit_rail is a packet of 1400 bytes by rail on both sides, sealed and reliable: in one process, with rings for devices
# (reliable_cost of bench_rel), for what it costs to get frames to a device is the device's. transit_rail_veth is the same chain as
# above with rails, where the kernel moves each frame on the time of the one who sends.
set -eEuo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
BUILD=$1 QUICK=${2:-}
SKYRAIL_BIN=$BUILD/release
PEER=$(realpath -m "$BUILD/interop/peer")
if [ ! -x "$PEER" ] && ! make -s "$BUILD/interop/peer" >/dev/null 2>&1; then
	echo "transit: left out, the Go peers of tests/interop can't be built" && exit 0
fi
# shellcheck source=tests/support/net.sh
. tests/support/net.sh
net_isolate tests/bench/transit.sh "$@"
programs=(skywire-visor dmsg-discovery dmsg-server transport-discovery address-resolver redis-server)
baseline=visor
for program in "${programs[@]}"; do
	[ -n "${SKYWIRE_BIN:-}" ] && PATH=$SKYWIRE_BIN:$PATH command -v "$program" >/dev/null || baseline=go
done
if [ $baseline = visor ]; then
	# shellcheck source=tests/interop/real/_init.sh
	. tests/interop/real/_init.sh "${programs[@]}"
fi
# shellcheck source=tests/bench/_init.sh
. tests/bench/_init.sh
case $baseline in
visor) echo "  transit, baseline: a visor, of SKYWIRE_BIN" ;;
go) echo "  transit, baseline: the router of the Go peers, not a visor (SKYWIRE_BIN names no folder with skywire-visor and what it needs)" ;;
esac

# ---- the network ----

net_add A C
if [ $baseline = visor ]; then real_net D=10 R=2 N=101; else net_add N; fi
# TCP, and the ports of data planes, which would get each frame of it, too
net_link A a1 10.3.1.1/24 N n1 10.3.1.2/24
net_link C c2 10.3.2.1/24 N n2 10.3.2.2/24
net_link A a3 10.3.3.1/24 N n3 10.3.3.2/24
net_link C c4 10.3.4.1/24 N n4 10.3.4.2/24

# ---- who is in the middle ----

node_new A a3
node_new C c4
node_new N n3 n4
for end in a c; do PK[$end]=$("$PEER" key "$T/$end.key"); done
node_conf A controlplane stcp listen=0.0.0.0:7777
node_conf A controlplane "transport end" "peer=${PK[a]}" type=stcp dial=no
node_conf C controlplane stcp listen=0.0.0.0:7777
node_conf C controlplane "transport end" "peer=${PK[c]}" type=stcp dial=no
node_conf N controlplane stcp listen=0.0.0.0:7777
for n in A C; do node_conf N controlplane "transport $n" "peer=${PK[$n]}" type=stcp dial=no; done
node_peer N rail.A A 10.3.3.1:7780
node_peer N rail.C C 10.3.4.1:7780
node_peer A rail N 10.3.3.2:7780
node_peer C rail N 10.3.4.2:7780
# middle NAME PORT: A and C make a transport to it
middle() {
	node_conf A controlplane "transport $1" "peer=${PK[$1]}" type=stcp "address=10.3.1.2:$2"
	node_conf C controlplane "transport $1" "peer=${PK[$1]}" type=stcp "address=10.3.2.2:$2"
}
middle N 7777

go_begin() {
	PK[go]=$("$PEER" key "$T/go.key")
	middle go 7778
	go_node() { ahead -5 ip netns exec N "$PEER" node -key "$T/go.key" -listen 0.0.0.0:7778 -rule "1:13@${PK[C]}" >"$T/go.out" 2>"$T/go.log" & }
	go_node
	PID[go]=$!
	wait_for 10 "the Go router" grep -q ready "$T/go.out"
}
# Its rule is laid as a set-up node that it trusts does it, by dmsg.
visor_begin() {
	real_discovery
	real_services
	real_server R R
	real_key setup
	real_key V
	PK[visor]=${PK[V]}
	middle visor 7779
	ip netns add V 2>/dev/null || true
	visor_conf V ".log_level = \"error\" | .[\"skywire-tcp\"] = {listening_address: \":7779\", pk_table: {
		\"${PK[A]}\": \"10.3.1.1:7777\", \"${PK[C]}\": \"10.3.2.1:7777\"}}"
	real_run V N skywire-visor -c visor.json
	wait_for 60 "the visor at the server" delegated "${PK[V]}" "${PK[R]}"
}
visor_lays() {
	# shellcheck disable=SC2016 # $0 is the peer's word for the first id
	printf 'reserve 1\nrules $0 13 %s\n' "${PK[C]}" |
		in_ns N "$PEER" lay -key "$T/setup/key" -server "${PK[R]}@${ADDR[R]}:8081" -hops stcp "${PK[V]}" >"$T/laid" 2>"$T/lay.log"
	[ "$(cut -d ' ' -f 1 "$T/laid" | xargs)" = "ok ok" ] || { cat "$T/laid" "$T/lay.log" >&2 && return 1; }
	key=$(awk 'END { print $2 }' "$T/laid")
}

"${baseline}_begin"
node_start A C N
all_up() {
	local n
	for n in A C N; do
		[ "$(sk $n -j show transports | jq -r '[.[] | select(.name != "end" and .state != "up")] | length')" = 0 ] || return
	done
}
wait_for 60 "all transports" all_up
sk N rule add intermediary id=1 next=11 transport=C --static >/dev/null
sk N rule add intermediary id=2 next=12 transport=rail.C --static >/dev/null
key=1
[ $baseline != visor ] || wait_for 30 "the visor's rule" visor_lays
# way ID KEY TRANSPORT: what A takes with this id goes to that middle, and comes to C with ten more
way() {
	sk A rule add intermediary "id=$1" "next=$2" "transport=$3" --static >/dev/null
	sk C rule add intermediary id=$(($1 + 10)) next=1 transport=end "in=$3" --static >/dev/null
}
by=([1]=N [2]=rail [3]=$baseline)
way 1 1 N
way 2 2 rail
way 3 "$key" $baseline

# ---- the load ----

# load SIZE ID PID...: RATE, packets in a second of their time
load() {
	local size=$1 id=$2 before after n
	shift 2
	before=$(cpu_ns "$@")
	n=$(in_ns N "$PEER" blast -key "$T/a.key" -stcp "${PK[A]}@10.3.1.1:7777" -stcp "${PK[C]}@10.3.2.1:7777" -size "$size" \
		-for ${secs}s "$T/c.key" "$id" 2>"$T/load.log") || { echo "by ${by[id]}: $(tail -n 3 "$T/load.log")" >&2 && return 1; }
	after=$(cpu_ns "$@")
	RATE=$(jq -n "$n / (($after - $before) / 1e9)")
}

middle=go target=''
[ $baseline != visor ] || middle=V target=6
for size in 64 512 1400; do
	ours="" theirs=""
	for ((i = 0; i < rounds; i++)); do
		load $size 1 "${PID[N.cp]}" "${PID[N.dp]}"
		ours="$ours $RATE"
		load $size 3 "${PID[$middle]}"
		theirs="$theirs $RATE"
	done
	figure transit_stcp_$size "packets / CPU s" "$ours" "$theirs" "$target"
done
rail=""
for ((i = 0; i < rounds; i++)); do
	load 1400 2 "${PID[N.cp]}" "${PID[N.dp]}"
	rail="$rail $RATE"
done
figure transit_rail_veth "packets / CPU s" "$rail" "$theirs"
rail=$("$BIN/tests/bench/bench_rel" --quick --only reliable_cost | jq -Rr 'fromjson? | select(.name == "reliable_cost") | .value')
figure transit_rail "packets / CPU s" "$rail" "$(jq -n --arg v "$theirs" '[$v | splits(" +") | select(. != "") | tonumber] | sort | .[length / 2 | floor] // empty')" "${target:+25}"
node_kill $middle TERM || true
node_stop A C N
