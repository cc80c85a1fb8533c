#!/bin/bash
# Real processes under load for SOAK_SECONDS of wall time (default 300): kill -9, stops of whole processes,
# links cut and lossy, interfaces deleted and made again, other numbers of flows, and flows that change their
# worker; by rails all the way, and by TCP for the first half of it. After each round of faults all transports are up and packets pass in time; what each
# process holds (memory, descriptors, buffers) stays what it was; in the end nothing is left behind.
# SOAK_SEED=n draws the same faults, though not at the same packets.
#
#   ping, iperf3 [A] sky0 --rail-x-- [B] --x-rail-- sky0 [C]
#                    sky1 --stcp-x--              -- sky1
. "$(dirname "$0")/../smoke/_init.sh"

SECS=${SOAK_SECONDS:-300}
RANDOM=${SOAK_SEED:-1}
UP_S=40     # wait_for gives more on a busy machine
RSS_KB=8192 # more than this more is a leak
declare -A BASE=() # NODE.dp|NODE.cp -> PID RSS FDS BUFFERS, when it was first at rest

NODE_WORKERS=2
net_add A B C W
IP_A=10.1.1.1 IP_BA=10.1.1.2 IP_BC=10.1.2.1 IP_C=10.1.2.2
net_wire A a0 $IP_A/24 B b0 $IP_BA/24
net_wire B b1 $IP_BC/24 C c0 $IP_C/24
chain_nodes mode=reliable flows=2
node_peer A bt B $IP_BA:7777 type=stcp
node_peer B at A type=stcp
node_conf B controlplane stcp listen=0.0.0.0:7777
# a control plane and its data plane may die together: all is in the configuration
rule_conf() { node_conf "$1" controlplane "rule r$2" "type=$3" "id=$2" "${@:4}"; }
rule_conf B 201 intermediary next=301 transport=c in=a
rule_conf B 202 intermediary next=102 transport=a in=c
rule_conf C 301 consume in=b edge=sky0
rule_conf A 102 consume in=b edge=sky0
rule_conf C 302 forward next=202 transport=b edge=sky0
rule_conf A 101 forward next=201 transport=b edge=sky0
rule_conf B 211 intermediary next=311 transport=c in=at
rule_conf B 212 intermediary next=112 transport=at in=c
rule_conf C 311 consume in=b edge=sky1
rule_conf A 112 consume in=bt edge=sky1
rule_conf C 312 forward next=212 transport=b edge=sky1
rule_conf A 111 forward next=211 transport=bt edge=sky1
node_conf A controlplane "edge sky0" address=10.9.0.1/24 forward=101 consume=102
node_conf C controlplane "edge sky0" address=10.9.0.2/24 forward=302 consume=301
node_conf A controlplane "edge sky1" address=10.9.1.1/24 forward=111 consume=112
node_conf C controlplane "edge sky1" address=10.9.1.2/24 forward=312 consume=311
all_up() { chain_up && tp_up A bt && tp_up B at; }
carried_ping() { in_ns A ping -n -q -c 1 -W 5 10.9.1.2; }
heal() {
	wait_for $UP_S "all transports up" all_up || fail "a transport is stuck"
	wait_for 20 "ping" chain_ping -c 1 || fail "a route is stuck"
	wait_for 20 "ping by TCP" carried_ping || fail "the route by TCP is stuck"
}
node_start A B C
heal

# ---- load ----

LOAD=() # processes
load_on() {
	local to port
	for to in 10.9.0.2:5201 10.9.1.2:5202; do
		port=${to#*:}
		in_ns C iperf3 -s -p "$port" >"$T/iperf-s-$port.log" 2>&1 &
		LOAD+=($!)
		bash -c 'while :; do ip netns exec A iperf3 -c "$1" -p "$2" -b 20M -t 60 --connect-timeout 2000; sleep 1; done' \
			- "${to%:*}" "$port" >"$T/iperf-c-$port.log" 2>&1 &
		LOAD+=($!)
		in_ns A ping -n -q -i 0.02 "${to%:*}" >"$T/ping-load-$port.log" 2>&1 &
		LOAD+=($!)
	done
}
load_off() {
	local p
	kill "${LOAD[@]}" 2>/dev/null || true
	for p in $(ip netns pids A) $(ip netns pids C); do # what those began
		case $(cat "/proc/$p/comm" 2>/dev/null) in
		iperf3 | ping) kill "$p" 2>/dev/null || true ;;
		esac
	done
	wait "${LOAD[@]}" 2>/dev/null || true
	LOAD=()
}

# ---- faults ----

pick() { # pick WORD...: one of them
	local -a w=("$@")
	PICKED=${w[RANDOM % ${#w[@]}]}
}
start_of() { if [ "${1#*.}" = dp ]; then dp_start "${1%.*}"; else cp_start "${1%.*}"; fi; }
fault_kill() {
	pick A.cp A.dp B.cp B.dp C.cp C.dp
	say "kill -9 $PICKED"
	node_kill "$PICKED" KILL || true
	unset "BASE[$PICKED]"
	sleep "0.$((RANDOM % 9 + 1))"
	start_of "$PICKED" || fail "$PICKED does not start again"
}
fault_kill_both() {
	pick A B C
	say "kill -9 $PICKED, both"
	node_kill "$PICKED.cp" KILL || true
	node_kill "$PICKED.dp" KILL || true
	unset "BASE[$PICKED.cp]" "BASE[$PICKED.dp]"
	node_start "$PICKED" || fail "$PICKED does not start again"
}
fault_stop() {
	pick A.cp A.dp B.cp B.dp C.cp C.dp
	say "stop $PICKED"
	kill -STOP "${PID[$PICKED]}"
	sleep $((RANDOM % 3)).$((RANDOM % 9 + 1))
	kill -CONT "${PID[$PICKED]}"
}
fault_cut() {
	pick wa0 wb0 wb1 wc0
	say "cut $PICKED"
	ip -n W link set "$PICKED" down
	sleep $((RANDOM % 3)).$((RANDOM % 9 + 1))
	ip -n W link set "$PICKED" up
}
fault_flap() {
	pick a0 b0 b1 c0
	say "flap $PICKED"
	local node=${PICKED%?} i
	for i in 1 2 3; do
		ip -n "${node^^}" link set "$PICKED" down
		sleep "0.$((RANDOM % 5 + 1))"
		ip -n "${node^^}" link set "$PICKED" up
		sleep "0.$((RANDOM % 5 + 1))"
	done
}
fault_loss() {
	local percent=$((RANDOM % 30 + 1))
	pick wa0 wb0 wb1 wc0
	say "lossy $PICKED"
	in_ns W nft -f - <<-END
		table netdev lossy {
			chain in {
				type filter hook ingress device "$PICKED" priority 0;
				udp dport 7780-7787 numgen random mod 100 < $percent drop
				tcp dport 7777 numgen random mod 100 < $percent drop
				tcp sport 7777 numgen random mod 100 < $percent drop
			}
		}
	END
	sleep $((RANDOM % 4)).5
	in_ns W nft delete table netdev lossy
}

fault_again() {
	pick a0 b0 b1 c0
	say "delete $PICKED and make it again"
	local node=${PICKED%?} bridge=bra0
	local -A addr=([a0]=$IP_A [b0]=$IP_BA [b1]=$IP_BC [c0]=$IP_C)
	node=${node^^}
	[[ $PICKED =~ (a|b)0 ]] || bridge=brb1
	ip -n "$node" link del "$PICKED"
	sleep $((RANDOM % 3)).$((RANDOM % 9 + 1))
	ip link add "$PICKED" netns "$node" type veth peer name "w$PICKED" netns W
	ip -n W link set "w$PICKED" master "$bridge" up
	net_up "$node" "$PICKED" "${addr[$PICKED]}/24"
}
fault_move() { # what is down can't be moved
	say "flows change the worker"
	local i
	for i in {1..10}; do
		pick a c
		sk B transport move "$PICKED" flow=$((RANDOM % 2 + 1)) worker=$((RANDOM % 2)) >/dev/null 2>&1 || true
		sleep 0.0$((RANDOM % 9))
	done
}
fault_flows() {
	local n=$((RANDOM % 4 + 1))
	pick A B C
	say "$n flows for $PICKED"
	sed -i "s/^flows = .*/flows = $n/" "$T/$PICKED/controlplane.ini"
	node_kill "$PICKED.cp" KILL || true
	unset "BASE[$PICKED.cp]" "BASE[$PICKED.dp]"
	cp_start "$PICKED" || fail "$PICKED.cp does not start again"
}

# ---- what is held ----

rss() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; }
fds() { find "/proc/$1/fd" -mindepth 1 | wc -l; }
buffers() { sk "$1" -j show memory | jq '.[] | select(.name == "packet buffers") | .used'; }
held_by() { # NODE.dp|NODE.cp: RSS FDS BUFFERS
	local b=0
	[ "${1#*.}" = cp ] || b=$(buffers "${1%.*}")
	echo "$(rss "${PID[$1]}") $(fds "${PID[$1]}") $b"
}
is_as_before() {
	local now was
	read -ra now <<<"$(held_by "$1")"
	read -ra was <<<"${BASE[$1]}"
	[ "${now[0]}" -le $((was[0] + RSS_KB)) ] && [ "${now[1]}" -le "${was[1]}" ] && [ "${now[2]}" -le "${was[2]}" ]
}
check_held() {
	local p
	for p in A.cp A.dp B.cp B.dp C.cp C.dp; do
		if [ -z "${BASE[$p]:-}" ]; then
			BASE[$p]=$(held_by "$p")
		else
			wait_for 10 "$p holds what it held" is_as_before "$p" ||
				fail "$p holds $(held_by "$p") (RSS kB, descriptors, buffers), it was ${BASE[$p]}"
		fi
	done
}

# ---- rounds ----

end=$((SECONDS + SECS)) rounds=0 faults=0
sleep 1
check_held
while [ $SECONDS -lt $end ]; do
	load_on
	sleep 1
	for ((i = RANDOM % 3; i >= 0; i--)); do
		pick kill kill kill_both stop stop cut flap loss again move move flows
		"fault_$PICKED"
		faults=$((faults + 1))
		sleep 0.$((RANDOM % 9))
	done
	heal
	load_off
	sleep 2 # what reliable links kept for bursts goes back after a second
	check_held
	rounds=$((rounds + 1))
done
say "$rounds rounds, $faults faults"
expect "a round" test $rounds -gt 0
for n in A B C; do wait_for 10 "books of $n" books $n || books $n; done
nodes_end A B C
left=$(for c in /proc/[0-9]*/comm; do cat "$c" 2>/dev/null || true; done | grep -c skyrail || true)
same "processes left" "$left" 0
same "files left in run_dir" "$(find "$T"/*/run -type s | wc -l)" 0
