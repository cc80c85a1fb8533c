#!/bin/bash
# Figures of real nodes, as JSON lines; tests/bench/run.py calls it and makes the report.
#
#   tests/bench/chain.sh BUILD_DIR ctl|chain|restart|xdp [--quick]
#
# ctl:   rules through the rings (a data plane of its own) and through the API (a whole node)
# chain: three nodes over veth against the kernel forwarding over the same kind of chain, packets lost
#        while B's control plane is killed, CPU of an idle node, latency
# restart: how long traffic over static rules pauses when B's data plane is killed and started again
# xdp:   the chain with AF_XDP against the kernel forwarding, and against the same chain with af_packet
#
# veth moves packets by the kernel on the sender's processor: these are figures of the whole machine, and
# say little about a NIC. Segmentation offloads are off in the kernel's chain too, for a packet of
# ours is a packet; what the kernel does with 64 KB super-frames is told apart.
set -eEuo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
BUILD=$1 PART=$2 QUICK=${3:-}
SKYRAIL_BIN=$BUILD/release
# shellcheck source=tests/support/net.sh
. tests/support/net.sh
net_isolate tests/bench/chain.sh "$@"
# shellcheck source=tests/bench/_init.sh
. tests/bench/_init.sh

# ---- ctl ----

part_ctl() {
	local rules=200000
	[ -z "$QUICK" ] || rules=50000
	NODE_RULES=1048576 NODE_HUGE=auto
	net_add A
	node_new A net_null0,no-rx=1
	dp_start A
	"$BIN/tests/bench/bench_ctl" "$T/A/run/dataplane.sock"
	node_kill A.dp TERM
	printf '[transport x]\npeer = %s\ndial = no\n' "$("$BIN/skyrail" key gen "$T/x.key" >/dev/null && "$BIN/skyrail" key show "$T/x.key" | grep -oE '0[23][0-9a-f]{64}' | head -n1)" \
		>>"$T/A/controlplane.ini"
	node_start A
	"$BIN/tests/bench/bench_api" "$T/A/run/control.sock" x $rules
	node_stop A
}

# ---- chain ----

# kernel_chain: KA - KB - KC, KB forwards
kernel_chain() {
	net_add KA KB KC
	net_link KA ka0 10.2.1.1/24 KB kb0 10.2.1.2/24
	net_link KB kb1 10.2.2.1/24 KC kc0 10.2.2.2/24
	in_ns KB sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
	ip -n KA route add 10.2.2.0/24 via 10.2.1.2
	ip -n KC route add 10.2.1.0/24 via 10.2.2.1
	in_ns KC iperf3 -s -D
}
kernel_offloads() {
	local end
	for end in "KA ka0" "KB kb0" "KB kb1" "KC kc0"; do
		# shellcheck disable=SC2086
		in_ns ${end% *} ethtool -K ${end#* } tx "$1" tso "$1" gso "$1" gro "$1" >/dev/null 2>&1
	done
}

# pps NS ADDRESS: small packets a second that arrived
pps() {
	in_ns "$1" iperf3 -c "$2" -u -l 64 -b 0 -t $secs -J |
		jq '.end.sum | (.packets - .lost_packets) / .seconds'
}

# rtts NS ADDRESS COUNT FILE: round trips in us, one a line, sorted
rtts() {
	in_ns "$1" ping -n -i 0.005 -c "$3" "$2" | sed -n 's/.*time=\([0-9.]*\) ms/\1/p' |
		awk '{ print $1 * 1000 }' | sort -n >"$4"
}
percentile() { awk -v p="$2" '{ v[NR] = $1 } END { i = int(NR * p / 100) + 1; if (i > NR) i = NR; print v[i] }' "$1"; }

# cpu_ticks PID...
cpu_ticks() {
	local pid t=0 s
	for pid in "$@"; do
		read -r s <"/proc/$pid/stat"
		# shellcheck disable=SC2086
		set -- ${s##*) }
		t=$((t + ${12} + ${13}))
	done
	echo $t
}

part_chain() {
	local i ours='' theirs='' before after
	chain_net 4
	chain_nodes
	node_start A B C
	wait_for 20 "transports" chain_up
	chain_rules >/dev/null
	chain_edges
	in_ns C iperf3 -s -D
	kernel_chain
	wait_for 5 "chain" chain_ping
	wait_for 5 "kernel's chain" in_ns KA ping -q -c 1 10.2.2.2

	# the node B with nothing to do
	sleep 2
	ours=
	for ((i = 0; i < rounds; i++)); do
		before=$(cpu_ticks "${PID[B.dp]}" "${PID[B.cp]}")
		sleep $((secs + 2))
		after=$(cpu_ticks "${PID[B.dp]}" "${PID[B.cp]}")
		ours+=" $(jq -n "($after - $before) * 100 / $(getconf CLK_TCK) / ($secs + 2)")"
	done
	figure idle_cpu "% of a core, both processes" "$ours"

		rtts A 10.9.0.2 $pings "$T/ours"
	rtts KA 10.2.2.2 $pings "$T/kernel"
	for i in 50 99 99.9; do
		before=$(percentile "$T/kernel" $i) after=$(percentile "$T/ours" $i)
		jq -cn --arg p "${i/./}" --argjson o "$after" --argjson k "$before" '{name: "latency_added_p\($p)",
			unit: "us round trip, idle mode", value: ($o - $k), baseline: $k, min: ($o - $k), max: ($o - $k)}'
	done

	kernel_offloads off
	ours='' theirs=''
	for ((i = 0; i < rounds; i++)); do
		ours+=" $(tcp A 10.9.0.2)"
		theirs+=" $(tcp KA 10.2.2.2)"
	done
	figure chain_veth_tcp "Gbit/s TCP through three nodes" "$ours" "$theirs"
	ours='' theirs=''
	for ((i = 0; i < rounds; i++)); do
		ours+=" $(pps A 10.9.0.2)"
		theirs+=" $(pps KA 10.2.2.2)"
	done
	figure chain_veth_pps "packets/s of 64 bytes" "$ours" "$theirs"
	kernel_offloads on
	figure kernel_veth_tcp_gso "Gbit/s TCP, kernel with GSO" "$(tcp KA 10.2.2.2)"
	restart_loss
	node_stop A B C
	part_latency_poll
}

# Packets that the nodes lost while B's control plane was killed and started again: what one end of a
# link sent and the other did not receive, and B's drops.
restart_loss() {
	local i lost='' client drops before
	for ((i = 0; i < rounds; i++)); do
		drops=$(drops B) before=$(links_lost)
		in_ns A iperf3 -c 10.9.0.2 -u -b 20M -l 1000 -t 5 -J >"$T/iperf.json" &
		client=$!
		sleep 1.5
		node_kill B.cp KILL || true
		sleep 1
		cp_start B
		wait $client
		sleep 0.5
		lost+=" $(($(links_lost) - before + $(drops B) - drops))"
	done
	figure restart_loss "packets lost" "$lost" | jq -c '. + {target: 0, met: (.max == 0)}'
}
links_lost() { chain_links | tr ' =' '\n-' | jq -Rn '[inputs | split("-") | (.[0] | tonumber) - (.[1] | tonumber)] | add'; }

# The same chain with workers that never sleep needs a processor for each of them, and one for the rest.
part_latency_poll() {
	local i list
	read -ra list <<<"$(cpus | tr '\n' ' ')"
	if [ ${#list[@]} -lt 4 ]; then
		echo "latency with polling workers: left out, it takes 4 processors and there are ${#list[@]}"
		return 0
	fi
	sed -i 's/^mode = .*/mode = poll/' "$T"/[ABC]/dataplane.ini
	for i in 0 1 2; do
		sed -i "s/^cores = .*/cores = 0@${list[3]},1@${list[i]}/" "$T/$(cut -c $((i + 1)) <<<ABC)/dataplane.ini"
	done
	ip -n A link del sky0 2>/dev/null || true
	ip -n C link del sky0 2>/dev/null || true
	node_start A B C
	wait_for 20 "transports" chain_up
	chain_rules >/dev/null
	chain_edges
	rtts A 10.9.0.2 $pings "$T/ours"
	for i in 50 99 99.9; do
		jq -cn --arg p "${i/./}" --argjson o "$(percentile "$T/ours" $i)" --argjson k "$(percentile "$T/kernel" $i)" \
			'{name: "latency_added_poll_p\($p)", unit: "us round trip, polling", value: ($o - $k), baseline: $k, min: ($o - $k), max: ($o - $k)}'
	done
	node_stop A B C
}

# ---- restart ----

# gap FILE: the longest time between two answers, in seconds
gap() {
	sed -n 's/^\[\([0-9.]*\)\].*icmp_seq.*/\1/p' "$1" |
		awk 'NR > 1 && $1 - last > most { most = $1 - last } { last = $1 } END { if (NR < 10) exit 1; print most }'
}

# Transports of B to others than A and C: the bench in D has a key for each.
many=98
many_links() {
	net_add D
	net_link D d0 10.1.3.1/24 B b2 10.1.3.2/24
	node_conf B dataplane "port p2" "device=net_af_packet2,iface=b2"
	sed -i 's/^hops = .*/hops = 256/; s/^adjs = .*/adjs = 256/' "$T/B/dataplane.ini"
}
many_start() {
	(exec ip netns exec D "$BIN/skyrail-bench" -q --hugepages no -p net_af_packet0,iface=d0 --address 10.1.3.1 \
		--node 10.1.3.2 --api "$T/B/run/control.sock" -t $many --same -R $((many * 2)) -d 1h --max-loss 100%) \
		>"$T/many.log" 2>&1 &
	PID[many]=$!
	wait_for 60 "many transports" many_up
}
many_up() { [ "$(sk B -j show transports | jq '[.[] | select(.state == "up")] | length')" -ge $((many + 2)) ]; }

part_restart() {
	local i gaps='' all='' client start
	chain_net 4
	chain_nodes
	many_links
	node_start A B C
	wait_for 20 "transports" chain_up
	chain_rules >/dev/null
	chain_edges
	wait_for 5 "chain" chain_ping
	many_start
	for ((i = 0; i < rounds; i++)); do
		(exec ip netns exec A ping -n -D -i 0.01 10.9.0.2) >"$T/ping" &
		client=$!
		sleep 2
		node_kill B.dp KILL || true
		start=${EPOCHREALTIME/./}
		dp_start B
		wait_for 30 "traffic" chain_ping -c 1
		sleep 1
		kill -INT $client
		wait $client || true
		gaps+=" $(gap "$T/ping")"
		wait_for 60 "all transports" many_up
		all+=" $(((${EPOCHREALTIME/./} - start) / 1000))"
	done
	figure restart_gap "s without an answer" "$gaps" | jq -c '. + {target: 1, met: (.value < 1)}'
	echo "    restart_gap: $(sk B -j show transports | jq length) transports of B; seconds:$gaps; ms until all were up:$all"
	node_kill many TERM || true
	node_stop A B C
}

# ---- xdp ----

# chain_by af_packet|af_xdp: three nodes with that driver, until chain_end
chain_by() {
	sed -i -E "s/^device = net_af_[a-z]+([0-9])/device = net_$1\\1/" "$T"/[ABC]/dataplane.ini
	node_start A B C
	wait_for 20 "transports" chain_up
	chain_rules >/dev/null
	chain_edges
	wait_for 5 "chain" chain_ping
}
chain_end() {
	sk A edge del sky0
	sk C edge del sky0
	node_stop A B C
}

# Pairs: one after the other in each round, so that a busy minute of the machine hits both.
part_xdp() {
	local i driver
	local -A rate=()
	chain_net 4
	chain_nodes
	kernel_chain
	kernel_offloads off
	wait_for 5 "kernel's chain" in_ns KA ping -q -c 1 10.2.2.2
	in_ns C iperf3 -s -D
	for ((i = 0; i < rounds; i++)); do
		for driver in af_packet af_xdp; do
			chain_by $driver
			rate[$driver.pps]+=" $(pps A 10.9.0.2)"
			rate[$driver.tcp]+=" $(tcp A 10.9.0.2)"
			chain_end
		done
		rate[kernel.pps]+=" $(pps KA 10.2.2.2)"
		rate[kernel.tcp]+=" $(tcp KA 10.2.2.2)"
	done
	figure chain_xdp_pps "packets/s of 64 bytes" "${rate[af_xdp.pps]}" "${rate[kernel.pps]}"
	figure chain_xdp_tcp "Gbit/s TCP, three nodes" "${rate[af_xdp.tcp]}" "${rate[kernel.tcp]}"
	figure xdp_vs_af_packet_pps "packets/s of 64 bytes" "${rate[af_xdp.pps]}" "${rate[af_packet.pps]}"
	figure xdp_vs_af_packet_tcp "Gbit/s TCP, three nodes" "${rate[af_xdp.tcp]}" "${rate[af_packet.tcp]}"
}

case $PART in
restart) part_restart ;;
ctl) part_ctl ;;
chain) part_chain ;;
xdp) part_xdp ;;
*) echo "chain.sh: no part '$PART': ctl, chain, restart or xdp" >&2 && exit 2 ;;
esac
