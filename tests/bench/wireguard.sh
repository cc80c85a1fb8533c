#!/bin/bash
# A transit node against the newest wireguard-go, by the CPU time that the middle of a chain takes for it.
#
#   tests/bench/wireguard.sh BUILD_DIR [--quick]
#
# Packets:  [A: skyrail-bench] a0 ---- b0 [B] b1 ---- a1 [A: skyrail-bench]        ours
#           [A] a0 ---- b0 [B] b1 ---- c0 [C]                                      wireguard-go, and TCP of both
#
# The middle is the node's two processes, or B's two wireguard-go and nothing more, for what B's kernel
# does for them happens on their time: it decrypts what comes in by one and encrypts it for the other. The
# middle has the last processor, for packets to itself: all others of the chain share the rest. With TCP, whose
# rate counts, the ends may run anywhere.
#
# What is counted: CPU time as the scheduler has it (with the soft interrupts that ran on top of a
# process, so the far end's part of each frame on a veth is the sender's) and the soft interrupt thread of
# that processor. Of our worker, which polls, the share in polls that found work, by its own counters;
# its whole time is printed beside it. Of wireguard-go everything.
#
# What is sent: one datagram after the other, by skyrail-bench (sealed beforehand) or by a program that calls
# send() for each. A sender that hands the kernel bundles (UDP GSO) is a case of its own: bundles stay
# together through the tunnels of either. TCP is one connection between the ends.
set -eEuo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
BUILD=$1 QUICK=${2:-}
SKYRAIL_BIN=$BUILD/release
WG=$BUILD/bench/wireguard
# shellcheck source=tests/support/net.sh
. tests/support/net.sh

# Before the namespaces, which have no network: the program, and the time of the soft interrupt thread.
if [ -z "${SKYRAIL_ISOLATED:-}" ]; then
	if ! command -v go >/dev/null; then
		echo "wireguard-go: left out, there is no go to build it with" && exit 0
	fi
	mkdir -p "$BUILD/bench"
	if ! GOBIN=$(realpath "$BUILD/bench") nice go install golang.zx2c4.com/wireguard@latest 2>"$BUILD/bench/go.log"; then
		echo "wireguard-go: left out, it can't be had: $(tail -n 1 "$BUILD/bench/go.log")" && exit 0
	fi
	last=$(cpus | wc -w)
	kthread=$(pgrep -x "ksoftirqd/$(cpus | tr '\n' ' ' | cut -d' ' -f"$last")" || true)
	exec 9<"/proc/${kthread:-self}/schedstat"
	[ -n "$kthread" ] || exec 9</dev/null
fi
net_isolate tests/bench/wireguard.sh "$@"
# shellcheck source=tests/bench/_init.sh
. tests/bench/_init.sh
rounds=$(((rounds + 1) / 2))

read -ra CPUS <<<"$(cpus | tr '\n' ' ')"
MIDDLE=${CPUS[-1]}
ALL=$(IFS=, && echo "${CPUS[*]}")
OTHERS=${ALL%",$MIDDLE"}
ENDS=$OTHERS # where the ends may run
kernel_ns() { awk '{ n = $1 } END { print n + 0 }' /proc/self/fd/9; }

# per_second AMOUNT NS: of the middle's CPU time
per_second() { jq -n "$1 / ($2 / 1e9)"; }
sum() { jq -n "[$(IFS=, && echo "$*")] | add"; }

# ---- ours ----

# middle: CPU time of B: of its worker, of all other threads, cycles with and without work, soft interrupts
middle() {
	local f ns worker=0 all
	all=$(cpu_ns "${PID[B.dp]}" "${PID[B.cp]}")
	for f in /proc/"${PID[B.dp]}"/task/*; do
		if [[ $(<"$f/comm") = rte-worker* ]]; then
			read -r ns _ <"$f/schedstat"
			worker=$((worker + ns))
		fi
	done
	echo $worker $((all - worker)) "$(counter B cycles_busy)" "$(counter B cycles_idle)" "$(kernel_ns)"
}

# spent BEFORE AFTER: ns for work, and ns of the processes
spent() {
	# shellcheck disable=SC2086
	set -- $1 $2
	jq -rn "($6 - $1) as \$worker | ($7 - $2) as \$rest | ($8 - $3) as \$busy | ($9 - $4) as \$idle |
		[\$worker * \$busy / (\$busy + \$idle) + \$rest + ${10} - $5, \$worker + \$rest] | map(tostring) | join(\" \")"
}

# node_in_the_middle: B's worker on the last processor, everything else of all nodes on the others
pin_nodes() {
	local n
	for n in "$@"; do
		sed -i "s/^cores = .*/cores = 0@${CPUS[0]},1@$([ "$n" = B ] && echo "$MIDDLE" || echo "${CPUS[0]}")/" "$T/$n/dataplane.ini"
	done
}
pin_control() {
	local n
	for n in "$@"; do taskset -apc "$ENDS" "${PID[$n.cp]}" >/dev/null; done
}

# ours_packets SIZE CIPHER RATE: what a CPU second forwards, and a second of the whole process
ours_packets() {
	local before after n work
	before=$(middle)
	in_ns A taskset -c "$OTHERS" nice -n -10 "$BIN/skyrail-bench" -q -j "$T/bench.json" --cores "0@${CPUS[0]}" \
		-p "net_${DRIVER}0,iface=a0" --address 10.1.1.1 --node 10.1.1.2 -p "net_${DRIVER}1,iface=a1" --address 10.1.2.1 \
		--node 10.1.2.2 --api "$T/B/run/control.sock" --prepare --warm-up 0 -R "$3" -d ${secs}s -r 100 -s "$1" -c "$2" \
		>"$T/bench.log" 2>&1
	after=$(middle)
	n=$(jq .run.received "$T/bench.json")
	read -ra work <<<"$(spent "$before" "$after")"
	echo "$(per_second "$n" "${work[0]}") $(per_second "$n" "${work[1]}")"
}

ours_begin() {
	net_add A B
	net_link A a0 10.1.1.1/24 B b0 10.1.1.2/24
	net_link B b1 10.1.2.2/24 A a1 10.1.2.1/24
	NODE_IDLE=poll NODE_HUGE=auto node_new B "net_${DRIVER}0,iface=b0" "net_${DRIVER}1,iface=b1"
	pin_nodes B
	node_start B
	pin_control B
}
ours_end() {
	node_stop B
	ip netns del A
	ip netns del B
	rm -rf "$T/B"
}

# ---- wireguard-go ----

# wg NS IFACE CPUS PORT: one, not configured
wg() {
	ip netns exec "$1" env WG_PROCESS_FOREGROUND=1 LOG_LEVEL=error nice -n -10 taskset -c "$3" "$WG" -f "$2" >"$T/$2.log" 2>&1 &
	PID[$2]=$!
	wait_for 5 "wireguard-go $2" test -S "/run/wireguard/$2.sock"
	ip -n "$1" link set "$2" up mtu 1420
}

# wg_chain: A - B - C, B with an interface for each of the others
wg_chain() {
	local n
	local -A sk=() pk=()
	chain_net 4
	mkdir -p /run/wireguard
	for n in A B C; do
		sk[$n]=$(tests/bench/wg_conf.py genkey)
		pk[$n]=$(tests/bench/wg_conf.py pubkey "${sk[$n]}")
	done
	wg A wga "$ENDS"
	wg B wgb0 "$MIDDLE"
	wg B wgb1 "$MIDDLE"
	wg C wgc "$ENDS"
	wg_peer wga "${sk[A]}" 51820 "${pk[B]}" "$IP_BA:51820" 10.9.0.0/16
	wg_peer wgb0 "${sk[B]}" 51820 "${pk[A]}" "$IP_A:51820" 10.9.0.1/32
	wg_peer wgb1 "${sk[B]}" 51821 "${pk[C]}" "$IP_C:51821" 10.9.0.2/32
	wg_peer wgc "${sk[C]}" 51821 "${pk[B]}" "$IP_BC:51821" 10.9.0.0/16
	ip -n A addr add 10.9.0.1/24 dev wga
	ip -n C addr add 10.9.0.2/24 dev wgc
	ip -n B route add 10.9.0.1 dev wgb0
	ip -n B route add 10.9.0.2 dev wgb1
	in_ns B sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
	wait_for 10 "wireguard-go's chain" in_ns A ping -q -c 1 10.9.0.2
	in_ns C taskset -c "$ENDS" iperf3 -s -D
}
wg_peer() {
	tests/bench/wg_conf.py set "$1" "private_key=$2" "listen_port=$3" "public_key=$4" "endpoint=$5" "allowed_ip=$6"
}
wg_middle() { sum "$(cpu_ns "${PID[wgb0]}" "${PID[wgb1]}")" "$(kernel_ns)"; }
wg_end() {
	local n
	for n in wga wgb0 wgb1 wgc; do node_kill $n TERM || true; done
	for n in A B C; do ip netns del $n; done
}

# ---- ends of both ----

# udp SIZE BUNDLE: datagrams that arrive at C, in $T/came
udp() {
	local sink
	in_ns C taskset -c "$ENDS" tests/bench/udp_load.py sink 10.9.0.2 "$1" >"$T/sink" &
	sink=$!
	wait_for 5 "sink" grep -q ready "$T/sink"
	in_ns A taskset -c "$ENDS" tests/bench/udp_load.py send 10.9.0.2 "$1" "$secs" "$2" >/dev/null
	wait $sink
	tail -n 1 "$T/sink" >"$T/came"
}
# connection: Gbit that one TCP connection carried, in $T/came; Gbit/s, in $T/rate
connection() {
	in_ns A taskset -c "$ENDS" iperf3 -c 10.9.0.2 -t $secs -J >"$T/iperf.json"
	jq '.end.sum_received.bytes * 8 / 1e9' "$T/iperf.json" >"$T/came"
	jq '.end.sum_received.bits_per_second / 1e9' "$T/iperf.json" >"$T/rate"
}

# wg_does WORK...: what it did for each CPU second of wireguard-go's middle
wg_does() {
	local before after
	before=$(wg_middle)
	"$@"
	after=$(wg_middle)
	per_second "$(<"$T/came")" $((after - before))
}

# our_chain MODE: three nodes with edges
our_chain() {
	chain_net 4
	NODE_IDLE=adaptive NODE_HUGE=auto chain_nodes "mode=$1" cipher=auto
	sed -i -E "s/^device = net_af_[a-z]+([0-9])/device = net_$DRIVER\\1/" "$T"/[ABC]/dataplane.ini
	pin_nodes A B C
	node_start A B C
	pin_control A B C
	wait_for 20 "transports" chain_up
	chain_rules >/dev/null
	chain_edges 1420 # as wireguard-go
	wait_for 10 "chain" chain_ping
	in_ns C taskset -c "$ENDS" iperf3 -s -D
}
our_chain_end() {
	local n
	node_stop A B C
	for n in A B C; do ip netns del $n; done
	rm -rf "$T"/[ABC]
}
# ours_does WORK...: the same of ours, and of the whole process
ours_does() {
	local before after work
	before=$(middle)
	"$@"
	after=$(middle)
	read -ra work <<<"$(spent "$before" "$after")"
	echo "$(per_second "$(<"$T/came")" "${work[0]}") $(per_second "$(<"$T/came")" "${work[1]}")"
}

# ---- the figures ----

declare -A V=() TARGET=([64]=8 [1372]=6)
# note KEY "VALUE PROCESS"
note() {
	V[$1]+=" ${2% *}"
	V[$1.process]+=" ${2#* }"
}


ours_round() {
	local size cipher
	ours_begin
	for size in 64 1372; do
		for cipher in aes-256-gcm chacha20-poly1305; do
			note "ours.$size.$cipher" "$(ours_packets $size $cipher 600k)"
		done
	done
	ours_end
	ENDS=$OTHERS
	our_chain datagram
	for size in 64 1372; do note "ours.$size.bundled" "$(ours_does udp $size 64)"; done
	our_chain_end
	ENDS=$ALL
	our_chain datagram
	note ours.tcp "$(ours_does connection)"
	V[ours.tcp.rate]+=" $(<"$T/rate")"
	our_chain_end
	our_chain reliable
	note ours.reliable "$(ours_does connection)"
	V[ours.reliable.rate]+=" $(<"$T/rate")"
	our_chain_end
}
wg_round() {
	local size
	ENDS=$OTHERS
	wg_chain
	for size in 64 1372; do
		V[wg.$size]+=" $(wg_does udp $size 1)"
		V[wg.$size.bundled]+=" $(wg_does udp $size 64)"
	done
	wg_end
	ENDS=$ALL
	wg_chain
	V[wg.tcp]+=" $(wg_does connection)"
	V[wg.tcp.rate]+=" $(<"$T/rate")"
	wg_end
}

DRIVER=${DRIVER:-af_xdp}
for ((i = 0; i < rounds; i++)); do
	ours_round
	wg_round
done
for size in 64 1372; do
	unit="packets/CPU s of middle"
	name=vs_wireguard_go_$size
	figure sealed_$name "$unit" "${V[ours.$size.aes-256-gcm]}" "${V[wg.$size]}" "${TARGET[$size]}"
	figure sealed_${name}_raw "${unit/CPU s/process s}" "${V[ours.$size.aes-256-gcm.process]}" "${V[wg.$size]}"
	figure sealed_${name}_chacha "$unit" "${V[ours.$size.chacha20-poly1305]}" "${V[wg.$size]}"
	figure bundled_$name "$unit" "${V[ours.$size.bundled]}" "${V[wg.$size.bundled]}"
done
unit="Gbit/CPU s of middle"
figure tcp_vs_wireguard_go "Gbit/s, one connection" "${V[ours.tcp.rate]}" "${V[wg.tcp.rate]}" 1.5
figure tcp_cpu_vs_wireguard_go "$unit" "${V[ours.tcp]}" "${V[wg.tcp]}" 3
figure tcp_cpu_vs_wireguard_go_raw "${unit/CPU s/process s}" "${V[ours.tcp.process]}" "${V[wg.tcp]}"
figure tcp_reliable_vs_wireguard_go "Gbit/s, one connection" "${V[ours.reliable.rate]}" "${V[wg.tcp.rate]}"
figure tcp_reliable_cpu_vs_wireguard_go "$unit" "${V[ours.reliable]}" "${V[wg.tcp]}"
echo "    wireguard-go: $(go version -m "$WG" | awk '$1 == "mod" { print $3 }')"
