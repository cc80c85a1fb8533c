# Nodes in network namespaces, for smoke tests, the demo and the bench. Sourced, never run.
#
# net_isolate re-executes the script in mount, network and process namespaces of its own, so that
# nothing outlives it: whatever way it ends, the kernel removes processes, namespaces and links.
# Needs root (or a user namespace in which one may be root). Every node has a directory $T/NAME with
# its two configuration files, its run_dir, its key and its logs.
# shellcheck shell=bash

BIN=${SKYRAIL_BIN:-build/release} # where the three programs are
NODE_RULES=4096                   # rule slots of a node
NODE_IDLE=adaptive
NODE_LOG=info                     # at least notice: the data plane says when it is ready
NODE_HUGE=no
NODE_WORKERS=1
declare -A PID=() PK=() NODE_CPU=()

# net_isolate "$0" "$@"
net_isolate() {
	[ "${SKYRAIL_ISOLATED:-}" = $$ ] && return
	if [ -n "${SKYRAIL_ISOLATED:-}" ] && [ $$ -eq 1 ]; then
		mount -t tmpfs tmpfs /run
		mkdir -p /run/netns /run/lock
		export SKYRAIL_ISOLATED=$$
		ip link set lo up
		return
	fi
	local own=()
	[ "$(id -u)" -eq 0 ] || own=(--user --map-root-user)
	local why=''
	[ -c /dev/net/tun ] || why='there is no /dev/net/tun'
	if [ -z "$why" ] && ! why=$(unshare "${own[@]}" -mnp --fork true 2>&1); then
		why=${why:-unshare fails}
	fi
	if [ -n "$why" ]; then
		echo "$(basename "$1"): cannot make network namespaces: $why" >&2
		[ "$(id -u)" -eq 0 ] || echo "$(basename "$1"): run it as root" >&2
		exit 125
	fi
	SKYRAIL_ISOLATED=yes exec unshare "${own[@]}" -mnp --fork --kill-child --mount-proc \
		--propagation private bash "$@"
}

# net_temp: $T, kept by net_keep
net_temp() {
	T=$(mktemp -d "${TMPDIR:-/tmp}/skyrail.XXXXXX")
}

# say TEXT...: what happens now, for the log of a test
say() { printf '%s %s\n' "$(date +%T.%1N)" "$*"; }

# wait_for SECONDS WHAT COMMAND...: until the command succeeds; false when time is over. SECONDS are those
# of a quiet machine; SKYRAIL_PATIENCE times as many are given, for machines that do other things too. When
# the process WATCHED ends, there is nothing to wait for.
wait_for() {
	local end=$((SECONDS + $1 * ${SKYRAIL_PATIENCE:-3})) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		if [ $SECONDS -ge $end ]; then
			say "waited in vain for: $what"
			return 1
		fi
		if [ -n "${WATCHED-}" ] && ! kill -0 "$WATCHED" 2>/dev/null; then
			say "$what: the process has ended"
			return 1
		fi
		sleep 0.1
	done
}

# ---- namespaces and links ----

net_add() {
	local ns
	for ns in "$@"; do
		ip netns add "$ns"
		ip -n "$ns" link set lo up
	done
}

in_ns() { ip netns exec "$@"; }

# net_link NS IF ADDR[,ADDR] NS IF ADDR[,ADDR]: a veth pair with addresses
net_link() {
	ip link add "$2" netns "$1" type veth peer name "$5" netns "$4"
	net_up "$1" "$2" "$3"
	net_up "$4" "$5" "$6"
}

# net_wire NS IF ADDR NS IF ADDR: a link with a bridge in the middle, in W, where datagrams can be lost
net_wire() {
	ip link add "$2" netns "$1" type veth peer name "w$2" netns W
	ip link add "$5" netns "$4" type veth peer name "w$5" netns W
	ip -n W link add "br$2" type bridge
	local i
	for i in "w$2" "w$5"; do ip -n W link set "$i" master "br$2" up; done
	ip -n W link set "br$2" up
	net_up "$1" "$2" "$3"
	net_up "$4" "$5" "$6"
}

# wire_carries IF IF BYTES: longer IP packets vanish in that wire, both ways, and nobody is told
wire_carries() {
	local i
	for i in "$1" "$2"; do
		in_ns W nft -f - <<-END
			table netdev mtu_$i
			delete table netdev mtu_$i
			table netdev mtu_$i {
				chain in {
					type filter hook ingress device "w$i" priority 0;
					ip length > $3 counter drop
				}
			}
		END
	done
}

# net_up NS IF ADDR[,ADDR]
net_up() {
	local a
	for a in ${3//,/ }; do
		case $a in
		*:*) ip -n "$1" addr add "$a" dev "$2" nodad ;;
		*) ip -n "$1" addr add "$a" dev "$2" ;;
		esac
	done
	ip -n "$1" link set "$2" up
}

# ---- nodes ----

# cpus: the processors that we may use, one per word
cpus() {
	local part
	for part in $(taskset -pc $$ | sed 's/.*: //; s/,/ /g'); do
		seq -s ' ' "${part%-*}" "${part#*-}"
	done
}

# node_new NAME [IFACE|DEVICE...]: configuration with one port for each interface (by af_packet) or
# DPDK device, and a key; not started
node_new() {
	local name=$1 dir=$T/$1 iface n=0 list
	shift
	mkdir -p "$dir/run"
	read -ra list <<<"$(cpus | tr '\n' ' ')"
	# main and worker of a node on different processors where there are two; nodes take turns
	local at=${NODE_CPU[$name]:-$((${#PK[@]} % ${#list[@]}))} cores i
	cores="0@${list[(at + 1) % ${#list[@]}]}"
	for ((i = 1; i <= NODE_WORKERS; i++)); do
		cores+=",$i@${list[(at + i - 1) % ${#list[@]}]}"
	done
	{
		printf '[node]\nname = %s\nrun_dir = %s\n\n' "$name" "$dir/run"
		printf '[eal]\ncores = %s\nhugepages = %s\n\n' "$cores" "$NODE_HUGE"
		printf '[tables]\nrules = %s\nhops = 64\nadjs = 64\n\n' "$NODE_RULES"
		printf '[idle]\nmode = %s\n\n[log]\nlevel = %s\n\n' "$NODE_IDLE" "$NODE_LOG"
		for iface in "$@"; do
			case $iface in
			net_*) printf '[port p%d]\ndevice = %s\n\n' $n "$iface" ;;
			*) printf '[port p%d]\ndevice = net_af_packet%d,iface=%s\n\n' $n $n "$iface" ;;
			esac
			n=$((n + 1))
		done
	} >"$dir/dataplane.ini"
	{
		printf '[node]\nname = %s\nrun_dir = %s\nkey_file = %s\n\n' "$name" "$dir/run" "$dir/node.key"
		printf '[log]\nlevel = %s\n\n' "$NODE_LOG"
	} >"$dir/controlplane.ini"
	PK[$name]=$(node_key "$dir/node.key")
	[ -n "${PK[$name]}" ]
}

# node_key FILE: makes a key, prints the public one
node_key() {
	"$BIN/skyrail" key gen "$1" >/dev/null
	"$BIN/skyrail" key show "$1" | grep -oE '0[23][0-9a-f]{64}' | head -n1
}

# node_peer NODE NAME PEER_NODE [ADDRESS] [KEY=VALUE...]: a transport in the configuration
node_peer() {
	local node=$1 name=$2 pk=${PK[$3]}
	shift 3
	case ${1:-} in
	*=* | '') ;;
	*) set -- "address=$1" "${@:2}" ;;
	esac
	node_conf "$node" controlplane "transport $name" "peer=$pk" "$@"
}

# node_conf NODE dataplane|controlplane SECTION KEY=VALUE...: one more section
node_conf() {
	local file=$T/$1/$2.ini section=$3 kv
	shift 3
	printf '[%s]\n' "$section" >>"$file"
	for kv in "$@"; do printf '%s = %s\n' "${kv%%=*}" "${kv#*=}" >>"$file"; done
	echo >>"$file"
}

# ahead NICE COMMAND...: before others, also those of other sessions, each of which the kernel may give
# the same share whatever is in it (sched_autogroup). Only in the background: it execs then.
ahead() {
	# shellcheck disable=SC2016
	exec setsid sh -c 'echo "$0" 2>/dev/null >/proc/self/autogroup; exec nice -n "$0" "$@"' "$@"
}

dp_start() {
	local dir=$T/$1 seen=0
	[ ! -e "$dir/dataplane.log" ] || seen=$(wc -l <"$dir/dataplane.log")
	# on a busy machine with few processors, a worker would else wait too long for its turn
	ahead -10 ip netns exec "$1" "$BIN/skyrail-dataplane" -- -c "$dir/dataplane.ini" >>"$dir/dataplane.log" 2>&1 &
	PID[$1.dp]=$!
	WATCHED=$! wait_for 20 "data plane of $1" dp_ready "$1" "$seen"
}
# dp_ready NODE LINES: it said that it forwards, after so many lines of its log
dp_ready() {
	[ -S "$T/$1/run/dataplane.sock" ] && alive "$1.dp" &&
		tail -n "+$(($2 + 1))" "$T/$1/dataplane.log" | grep -q forwarding:
}

cp_start() {
	local dir=$T/$1
	ahead -5 ip netns exec "$1" "$BIN/skyrail-controlplane" -c "$dir/controlplane.ini" >>"$dir/controlplane.log" 2>&1 &
	PID[$1.cp]=$!
	WATCHED=$! wait_for 20 "control plane of $1" cp_ready "$1"
}
cp_ready() {
	alive "$1.cp" && [ "$(sk "$1" -j show node | jq -r '.cp_pid, .dp_attached' | tr '\n' ' ')" = "${PID[$1.cp]} true " ]
}

node_start() {
	local n
	for n in "$@"; do
		dp_start "$n" && cp_start "$n" || return
	done
}

# alive NODE.dp|NODE.cp
alive() { kill -0 "${PID[$1]}" 2>/dev/null; }

# node_kill NODE.dp|NODE.cp [SIGNAL]: and wait for its end; the exit status is the process's
node_kill() {
	local pid=${PID[$1]} rc=0
	kill "-${2:-KILL}" "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || rc=$?
	unset "PID[$1]"
	return $rc
}

# node_stop NODE...: orderly; false when a process did not end well
node_stop() {
	local n rc=0
	for n in "$@"; do
		node_kill "$n.cp" TERM || rc=$?
		node_kill "$n.dp" TERM || rc=$?
	done
	return $rc
}

# sk NODE ARGUMENTS...: the CLI
sk() {
	local n=$1
	shift
	"$BIN/skyrail" -s "$T/$n/run/control.sock" "$@"
}

# ---- what nodes say ----

# tp NODE TRANSPORT FIELD
tp() { sk "$1" -j show transports | jq -r --arg n "$2" ".[] | select(.name == \$n) | .$3"; }
tp_up() { [ "$(tp "$1" "$2" state)" = up ]; }
tp_not_up() { [ "$(tp "$1" "$2" state)" != up ]; }

# rule NODE ID FIELD: nothing when there is no such rule
rule() { sk "$1" -j show rules | jq -r --argjson n "$2" ".[] | select(.id == \$n) | .$3"; }
rule_gone() { [ -z "$(rule "$1" "$2" id)" ]; }

# counter NODE NAME...: sum over workers
counter() {
	local n=$1
	shift
	sk "$n" -j show counters | jq --arg names " $* " \
		'[.[] | select(.scope == "worker" and (.name as $c | $names | contains(" " + $c + " "))) | .value] | add // 0'
}

# drops NODE: sum of all drops of workers; drops_text NODE: those that are not zero, of the control plane too
drops() { sk "$1" -j show counters | jq '[.[] | select(.scope == "worker" and .role == "drop") | .value] | add // 0'; }
drops_text() {
	sk "$1" -j show counters | jq -r '.[] | select(.role == "drop" and .value > 0) | "\(.of) \(.name) \(.value)"'
}

# count NODE NAME: a counter, of whatever scope; count_is NODE NAME VALUE
count() { sk "$1" -j show counters | jq --arg n "$2" '[.[] | select(.name == $n) | .value] | add // 0'; }
count_is() { [ "$(count "$1" "$2")" = "$3" ]; }

# books NODE: for each stage in = out + drop, of all workers together; prints what differs. Packets
# held for a moment make a difference, so ask at rest.
books() {
	local diff
	diff=$(sk "$1" -j show counters | jq -r '
		[.[] | select(.scope == "worker" and .stage != "" and .stage != "-" and .role != "info")] | group_by(.stage)[] |
		{stage: .[0].stage, in: ([.[] | select(.role == "in") | .value] | add // 0),
		 out: ([.[] | select(.role != "in") | .value] | add // 0)} |
		select(.in != .out) | "\(.stage): \(.in) in, \(.out) out or dropped"')
	[ -z "$diff" ] || { say "the books of $1 do not balance: $diff" && return 1; }
}

# dmsg NODE FIELD; dmsg_is NODE FIELD VALUE
dmsg() { sk "$1" -j show dmsg | jq -r ".$2"; }
dmsg_is() { [ "$(dmsg "$1" "$2")" = "$3" ]; }

# carry FROM TO PORT: $T/file by dmsg, whole; a copy of it is in $T/copy
carry() {
	local listener
	sk "$2" dmsg listen "$3" </dev/null >"$T/copy" 2>"$T/listen.log" &
	listener=$!
	wait_for 10 "a listener" dmsg_is "$2" listeners 2 || return
	sk "$1" dmsg dial "${PK[$2]}:$3" <"$T/file" >"$T/back" || { say "dial, $1 to $2: $?" && return 1; }
	wait "$listener" || { say "listen, $1 to $2: $?" && return 1; }
	cmp "$T/file" "$T/copy" && [ ! -s "$T/back" ]
}

# ---- the chain A - B - C ----

# chain_net 4|6: namespaces and links; END[A->B side] addresses of the underlay
chain_net() {
	net_add A B C
	if [ "$1" = 4 ]; then
		IP_A=10.1.1.1 IP_BA=10.1.1.2 IP_BC=10.1.2.1 IP_C=10.1.2.2
		net_link A a0 $IP_A/24 B b0 $IP_BA/24
		net_link B b1 $IP_BC/24 C c0 $IP_C/24
	else
		IP_A='[fd01::1]' IP_BA='[fd01::2]' IP_BC='[fd02::1]' IP_C='[fd02::2]'
		net_link A a0 fd01::1/64 B b0 fd01::2/64
		net_link B b1 fd02::1/64 C c0 fd02::2/64
	fi
}

# chain_nodes [KEY=VALUE...]: three nodes that dial each other; the arguments go to each transport
chain_nodes() {
	node_new A a0
	node_new B b0 b1
	node_new C c0
	node_peer A b B "$IP_BA:7780" "$@"
	node_peer B a A "$IP_A:7780" "$@"
	node_peer B c C "$IP_C:7780" "$@"
	node_peer C b B "$IP_BC:7780" "$@"
}

chain_up() { tp_up A b && tp_up B a && tp_up B c && tp_up C b; }

# chain_rules [KEEP_ALIVE]: a route each way by CLI; without a keep-alive they are static
chain_rules() {
	local life=--static
	[ $# -eq 0 ] || life=keep-alive=$1
	sk B rule add intermediary id=201 next=301 transport=c in=a "$life"
	sk B rule add intermediary id=202 next=102 transport=a in=c "$life"
	sk C rule add consume id=301 in=b "$life"
	sk A rule add consume id=102 in=b "$life"
	sk C rule add forward id=302 next=202 transport=b "$life"
	sk A rule add forward id=101 next=201 transport=b "$life"
}

# chain_edges [MTU]: TUN devices in A and C, bound to the rules above
chain_edges() {
	sk A edge add sky0 address=10.9.0.1/24,fd09::1/64 ${1:+mtu=$1}
	sk C edge add sky0 address=10.9.0.2/24,fd09::2/64 ${1:+mtu=$1}
	sk A edge attach sky0 forward=101 consume=102
	sk C edge attach sky0 forward=302 consume=301
}

# chain_start [KEEP_ALIVE]: all of that, until packets go through
chain_start() {
	node_start A B C
	wait_for 20 "all transports up" chain_up
	chain_rules "$@" >/dev/null
	chain_edges
	chain_ping
}

# pair_edges: the same for A - B alone, with lasting rules; chain_ping works there too
pair_edges() {
	sk A rule add consume id=102 in=b --static
	sk B rule add consume id=201 in=a --static
	sk A rule add forward id=101 next=201 transport=b --static
	sk B rule add forward id=202 next=102 transport=a --static
	sk A edge add sky0 address=10.9.0.1/24
	sk B edge add sky0 address=10.9.0.2/24
	sk A edge attach sky0 forward=101 consume=102
	sk B edge attach sky0 forward=202 consume=201
}

# chain_links: route packets that one end of a link sent and the other received, both ways on both
# links; chain_whole: they agree, so no link lost one
chain_links() {
	echo "$(tp A b tx_packets)=$(tp B a rx_packets) $(tp B c tx_packets)=$(tp C b rx_packets)" \
		"$(tp C b tx_packets)=$(tp B c rx_packets) $(tp B a tx_packets)=$(tp A b rx_packets)"
}
chain_whole() {
	local l
	for l in $(chain_links); do [ "${l%=*}" = "${l#*=}" ] || return; done
}

# chain_ping [PING ARGUMENTS...]: a few packets from A's edge to C's
chain_ping() { in_ns A ping -n -q -c 3 -i 0.2 -W 5 "$@" 10.9.0.2; }

# listens NODE PORT: somebody waits there for a route
listens() { sk "$1" -j show groups | jq -e --argjson p "$2" 'any(.local_port == $p and .state == "listens")' >/dev/null; }

# chain_dmsg NODE: a dmsg server S, of which A, B and C are clients over links of their own, and a set-up node whose
# routes they take, with the key $SETUP: in S, or in another node, which is made. After chain_nodes.
chain_dmsg() {
	local n i=0 key clients=(A B C)
	[ "$1" = S ] || clients+=("$1")
	for n in S "${clients[@]:3}"; do
		net_add "$n"
		node_new "$n" net_null0,no-rx=1
	done
	key=$(node_key "$T/S/dmsg.key")
	SETUP=$(node_key "$T/$1/setup.key")
	node_conf S controlplane dmsg_server listen=0.0.0.0:8081 "key_file=$T/S/dmsg.key"
	for n in "${clients[@]}"; do
		i=$((i + 1))
		net_link S "s$i" "10.2.$i.1/24" "$n" d0 "10.2.$i.2/24"
		node_conf "$n" controlplane "server s" "key=$key" "address=10.2.$i.1:8081"
	done
	[ "$1" != S ] || node_conf S controlplane "server s" "key=$key" address=10.2.1.1:8081
	node_conf "$1" controlplane setup_node enable=yes "key_file=$T/$1/setup.key"
	for n in A B C; do node_conf "$n" controlplane "route_setup_node ours" "key=$SETUP"; done
}

# chain_dmsg_start NODE: all of that, until routes can be laid
chain_dmsg_start() {
	local n nodes=(A B C S)
	[ "$1" = S ] || nodes+=("$1")
	node_start "${nodes[@]}"
	wait_for 20 "all transports up" chain_up
	for n in A B C; do wait_for 20 "a session of $n" dmsg_is "$n" sessions 1; done
	wait_for 20 "a session of the set-up node" dmsg_is "$1" setup_sessions 1
}
