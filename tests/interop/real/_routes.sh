# Prelude of the tests of routes over visors and our nodes; `. "$(dirname "$0")/_routes.sh" [PROGRAM...]`.
#
#   visors V, X; our nodes N, M ---- W ---- D: all services of a deployment; R: dmsg server; S: our set-up node
# shellcheck shell=bash
# shellcheck source=tests/interop/real/_init.sh
. "$(dirname "${BASH_SOURCE[0]}")/_init.sh" redis-server psql dmsg-discovery skywire-visor skywire-cli transport-discovery \
	address-resolver route-finder skysocks skysocks-client "$@"

SOCKS=1080 WEB=8000
head -c "$BYTES" /dev/urandom >"$T/file"
FILE_SUM=$(sha256sum <"$T/file" | cut -d' ' -f1)

# routes_new: the network and all services, with a real dmsg server, V, X, N and M, not started; no set-up node yet
routes_new() {
	real_net D=10 S=1 R=2 V=121 X=122 N=101 M=102
	real_discovery
	real_postgres
	real_services_stored
	real_key R
	real_server R R
	real_key setup
	own_node S
	own_knows S "${PK[R]}" R
	node_conf S controlplane dmsg "discovery=$DISC" sessions=1
	node_conf S controlplane setup_node enable=yes "key_file=$T/setup/key"
	local n
	for n in V X; do real_key $n; done
	for n in N M; do routes_node $n; done
	routes_visor V X
	routes_visor X V
}
# routes_setup real|ours: from now on that is the set-up node, with the same key as the other one
routes_setup() {
	case $1 in
	real)
		ours S && nodes_end S
		real_setup
		;;
	ours)
		[ -z "${PID[setup]:-}" ] || real_end setup
		node_start S
		;;
	esac
	wait_for 60 "the set-up node at the server" delegated "${PK[setup]}" "${PK[R]}"
}

# routes_visor NAME OTHER [FILTER]: both have skysocks, for each other; routes have two hops at least, so that what is
# between has a part in it: for a dial makes a direct transport, too
routes_visor() {
	local n table='{}'
	for n in V X N M; do
		[ -z "${ADDR[$n]:-}" ] || table=$(jq -c --arg k "${PK[$n]}" --arg a "${ADDR[$n]}:7777" '.[$k] = $a' <<<"$table")
	done
	visor_conf "$1" ".[\"skywire-tcp\"].pk_table = $table | .routing.min_hops = 2 | .launcher.bin_path = \"$SKYWIRE_BIN\" |
		.launcher.apps = [{name: \"skysocks\", binary: \"skysocks\", auto_start: true, port: 3},
			{name: \"skysocks-client\", binary: \"skysocks-client\", args: [\"--srv\", \"${PK[$2]}\", \"--addr\", \":$SOCKS\"],
			 auto_start: false, port: 13}] | ${3:-.}"
}
# routes_node NAME: it takes whom it does not know, and each set-up node of the test
routes_node() {
	own_node "$1"
	own_knows "$1" "${PK[R]}" R
	node_conf "$1" controlplane dmsg "discovery=$DISC"
	node_conf "$1" controlplane stcp "listen=${ADDR[$1]}:7777"
	node_conf "$1" controlplane stcpr "listen=0.0.0.0:7773"
	node_conf "$1" controlplane transports "discovery=$TPD" "address_resolver=$RESOLVER"
	node_conf "$1" controlplane routing "route_finder=$FINDER" bench_port=5
	node_conf "$1" controlplane "route_setup_node setup" "key=${PK[setup]}"
	node_conf "$1" controlplane peers allow=any
}
# routes_start: V, X, N and M, until all are reached by dmsg
routes_start() {
	local n
	visor_start V X
	node_start N M
	for n in V X N M; do wait_for 90 "$n at the server" delegated "${PK[$n]}" "${PK[R]}"; done
	for n in V X; do
		real_run $n.web $n python3 "$PWD/tests/interop/real/web.py" $WEB "$T/file"
		wait_for 10 "a web server at $n" in_ns $n curl -sf -o /dev/null "http://127.0.0.1:$WEB/9"
		visor_serves $n
	done
}
# visor_serves NAME: after each start of it
visor_serves() {
	wait_for 30 "skysocks of $1" app_is "$1" skysocks running
	visor "$1" fwd -p $WEB
}
# visor_end NAME: with what its log says so far, for its end looks there like a failure
visor_end() {
	real_end "$1"
	mv "$T/$1/$1.log" "$T/$1/before"
}
# visor_back NAME: after that, or a kill
visor_back() {
	visor_start "$1"
	wait_for 90 "$1 at the server" delegated "${PK[$1]}" "${PK[R]}"
	visor_serves "$1"
}
ours() { [ -n "${PID[$1.cp]:-}" ]; }
app_is() { visor "$1" visor app ls --json | jq -e --arg n "$2" --arg s "$3" 'any(.output[]; .app == $n and .status == $s)'; }

# ---- transports ----

declare -A LINK=() # ids of visors' transports

# tps_of NAME OTHER TYPE: how many the discovery has between them
tps_of() {
	get "$TPD/all-transports" | jq --arg a "${PK[$1]}" --arg b "${PK[$2]}" --arg t "$3" \
		'[. // [] | .[] | select(.type == $t and (.edges | sort) == ([$a, $b] | sort))] | length'
}
has_tps() { [ "$(tps_of "$1" "$2" "$3")" = "$4" ]; }
# link TYPE NAME OTHER: the first one dials
link() {
	local -a more=()
	if ours "$2"; then
		[ "$1" != stcp ] || more=("address=${ADDR[$3]}:7777")
		sk "$2" transport add "$1-$3" "peer=${PK[$3]}" "type=$1" "${more[@]}" >/dev/null
		wait_for 40 "$1 from $2 to $3" tp_up "$2" "$1-$3"
	else
		LINK[$*]=$(visor_tp_add "$2" "$1" "${PK[$3]}") ||
			fail "no $1 from $2 to $3: $(visor "$2" tp add -f -t "$1" "${PK[$3]}" 2>&1 | tail -n2)"
	fi
	wait_for 20 "$1 between $2 and $3, registered" has_tps "$2" "$3" "$1" 1
}
unlink() {
	if ours "$2"; then
		sk "$2" transport del "$1-$3" >/dev/null
	else
		visor "$2" tp rm -i "${LINK[$*]}" >/dev/null
		unset "LINK[$*]"
	fi
	wait_for 20 "$1 between $2 and $3, gone" has_tps "$2" "$3" "$1" 0
}
# unlink_all: no transport is left
unlink_all() {
	local n t
	for n in N M; do
		for t in $(sk $n -j show transports | jq -r '.[].name'); do sk $n transport del "$t" >/dev/null; done
	done
	for n in V X; do visor $n tp rm -a >/dev/null || true; done
}
# chain_do link|unlink TYPE NAME...
chain_do() {
	local what=$1 type=$2 i
	shift 2
	for ((i = 1; i < $#; i++)); do $what "$type" "${@:i:1}" "${@:i+1:1}"; done
}

# ---- data ----

# socks_up NAME / socks_down NAME: its client, and so a route group to the other visor
socks_up() {
	visor "$1" visor app start skysocks-client >/dev/null
	wait_for 30 "the proxy of $1" in_ns "$1" bash -c "exec 3<>/dev/tcp/127.0.0.1/$SOCKS" || return
}
socks_down() { visor "$1" visor app stop skysocks-client >/dev/null; }
proxied() { in_ns "$1" curl -sSf -m 1200 --socks5 127.0.0.1:$SOCKS "${@:2}" "http://127.0.0.1:$WEB/"; }
# socks_carry NAME: both ways
socks_carry() {
	local sum
	proxied "$1" -o "$T/copy" || fail "skysocks of $1, down: $?"
	same "checksum, down" "$(sha256sum <"$T/copy" | cut -d' ' -f1)" "$FILE_SUM"
	rm "$T/copy"
	sum=$(proxied "$1" -T "$T/file") || fail "skysocks of $1, up: $?"
	same "checksum, up" "$sum" "$FILE_SUM"
}

# passed NODE: what the rule of the middle that carried least has carried; there are two of them
passed() {
	sk "$1" -j show rules | jq '[.[] | select(.type == "intermediary") | .bytes] | if length == 2 then min else "\(length) rules" end'
}
no_rules() { [ "$(sk "$1" -j show rules | jq length)" = 0 ]; }

# ---- route groups of few bytes ----

SOME=20000 FORWARDING=47
SOME_SUM=$(head -c $SOME "$T/file" | sha256sum | cut -d' ' -f1)
fwd() { python3 tests/interop/real/fwd.py "$BIN/skyrail" "$T/$1/run/control.sock" "${@:2}"; }
# serve NODE: it takes the next group, SERVING, and has the file
serve() {
	fwd "$1" serve "$T/file" $SOME >>"$T/served" 2>&1 &
	SERVING=$!
	wait_for 10 "a listener" listens "$1" $FORWARDING
}
# group_to NODE VISOR [OPTION...]: of ours
group_to() { [ "$(fwd "$1" get "${PK[$2]}" $WEB $SOME "${@:3}")" = "$SOME_SUM" ]; }
# group_from VISOR OTHER [PORT]: it stays; group_get: what is asked for on it; group_end
group_from() { GROUP=$(visor "$1" rev -k "${PK[$2]}" -r $WEB -p "${3:-9000}" | grep -oE '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}'); }
group_get() {
	in_ns "$1" curl -sSf -m 20 --retry 5 --retry-connrefused -o "$T/page" "http://127.0.0.1:${2:-9000}/$SOME" || return
	[ "$(sha256sum <"$T/page" | cut -d' ' -f1)" = "$SOME_SUM" ] || { say "$(wc -c <"$T/page") bytes came" && return 1; }
}
group_end() { visor "$1" rev -d "$GROUP" >/dev/null; }

# fit WHAT: each visor still takes a transport of each type, and a route group
fit() {
	local n t had
	for n in V X; do visor $n tp rm -a >/dev/null || true; done
	sleep 4 # what was closed is kept for a while
	for t in dmsg stcp stcpr sudph; do expect "$1: X takes $t" visor_tp V $t "${PK[X]}"; done
	sleep 3
	for t in dmsg stcp stcpr sudph; do expect "$1: V takes $t" visor_tp X $t "${PK[V]}"; done
	for n in V X; do
		had=$(tp N "stcp-$n" state)
		[ -n "$had" ] || sk N transport add "stcp-$n" "peer=${PK[$n]}" type=stcp "address=${ADDR[$n]}:7777" >/dev/null
		wait_for 60 "stcp from N to $n" tp_up N "stcp-$n"
		expect "$1: $n takes a route group" group_to N $n
		[ -n "$had" ] || sk N transport del "stcp-$n" >/dev/null
	done
	real_clean
	say "$1: the visors are fit"
}
