# Prelude of the tests with real Skywire programs, which SKYWIRE_BIN=DIR has; `. "$(dirname "$0")/_init.sh" PROGRAM...`
# names those that a test can't do without. Without DIR, or one of them, it is skipped (exit 125).
#
#   clients 198.51.100.0/24 ---- W ---- servers and services 203.0.113.0/24
#
# W joins the two networks and has no other link, so nothing that a program does by itself leaves the test. (Visors
# take no private addresses for their own.)
# shellcheck shell=bash
if [ -z "${SKYWIRE_BIN:-}" ]; then
	echo "SKYWIRE_BIN names no directory with Skywire's programs"
	exit 125
fi
SKYWIRE_BIN=$(cd "$SKYWIRE_BIN" && pwd) || exit 1
export SKYWIRE_BIN
for program in "$@"; do
	if ! PATH=$SKYWIRE_BIN:$PATH command -v "$program" >/dev/null; then
		echo "there is no $program in $SKYWIRE_BIN"
		exit 125
	fi
done
set --
# shellcheck source=tests/smoke/_init.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../smoke/_init.sh"

BYTES=$((${MB:-100} * 1024 * 1024)) # less than 100 for machines that are busy
DISC_IP=203.0.113.10
DISC=http://$DISC_IP:9090
TPD=http://$DISC_IP:9091
FINDER=http://$DISC_IP:9092
RESOLVER=http://$DISC_IP:9093
MATRIX=$PWD/build/interop/real
declare -A ADDR=() # of namespaces

# row "DIALLER | SERVER | LISTENER": of docs/interop.md, done
row() { echo "$1" >>"$MATRIX"; }

# names are asked of nobody, and nobody answers at once
echo 'nameserver 127.0.0.1' >"$T/resolv.conf"
mount --bind "$T/resolv.conf" /etc/resolv.conf

# ---- the network ----

# real_net NAMESPACE=LAST BYTE...: below 100 among the services, others among the clients
real_net() {
	local each ns last net
	net_add W
	ip -n W link add brs type bridge
	ip -n W link add brc type bridge
	net_up W brs 203.0.113.254/24
	net_up W brc 198.51.100.254/24
	in_ns W sysctl -qw net.ipv4.ip_forward=1
	for each in "$@"; do
		ns=${each%=*} last=${each#*=}
		net=c ADDR[$ns]=198.51.100.$last
		[ "$last" -ge 100 ] || { net=s && ADDR[$ns]=203.0.113.$last; }
		net_add "$ns"
		ip link add "e$last" netns "$ns" type veth peer name "w$last" netns W
		ip -n W link set "w$last" master "br$net" up
		net_up "$ns" "e$last" "${ADDR[$ns]}/24"
		ip -n "$ns" route add default via "${ADDR[$ns]%.*}.254"
	done
}

# cut_off NAMESPACE: nothing more comes out of the connections to dmsg servers that it has now, not even their end
cut_off() {
	local port
	in_ns W nft 'table ip cut { chain pass { type filter hook forward priority 0; }; }'
	for port in $(in_ns "$1" ss -tnH state established 'dport = 8081' | awk '{sub(".*:", "", $3); print $3}'); do
		in_ns W nft add rule ip cut pass ip saddr "${ADDR[$1]}" tcp sport "$port" drop
	done
}

# ---- real programs ----

# real_run NAME NAMESPACE PROGRAM [ARGUMENTS...]: in the background, at home in $T/NAME, its log there
real_run() {
	local name=$1 ns=$2
	shift 2
	mkdir -p "$T/$name"
	# shellcheck disable=SC2016
	ip netns exec "$ns" env HOME="$T/$name" PATH="$SKYWIRE_BIN:$PATH" \
		sh -c 'cd "$HOME" && exec "$@"' sh "$@" >>"$T/$name/$name.log" 2>&1 </dev/null &
	PID[$name]=$!
}

# real_end NAME [SIGNAL]: whatever it ends with
real_end() { node_kill "$1" "${2:-TERM}" || true; }

# real_key NAME: makes its key, once; SK[NAME], PK[NAME]
declare -A SK=()
real_key() {
	[ -z "${SK[$1]:-}" ] || return 0
	mkdir -p "$T/$1"
	PK[$1]=$(node_key "$T/$1/key")
	SK[$1]=$(head -n1 "$T/$1/key")
}

get() { in_ns D curl -sf -m 5 "$@"; }

# real_discovery: of dmsg, at $DISC
real_discovery() {
	real_run redis D redis-server --bind 127.0.0.1 --port 6379 --save '' --appendonly no
	wait_for 10 "redis" in_ns D redis-cli ping
	real_run disc D dmsg-discovery --addr "$DISC_IP:9090"
	wait_for 10 "the discovery" get "$DISC/health"
}
# real_services [OPTION...]: of transports, with these options, and of addresses; without a data base
real_services() {
	real_run tpd D transport-discovery --testing --addr "$DISC_IP:9091" --dmsg-disc "$DISC" "$@"
	real_run resolver D address-resolver --testing --addr "$DISC_IP:9093" --dmsg-disc "$DISC"
	wait_for 10 "the transport discovery" get "$TPD/health"
	wait_for 10 "the address resolver" get "$RESOLVER/health"
}

# real_postgres: as Debian has it, for those of D; its server does not run as root
real_postgres() {
	local bin dir=$T/postgres
	bin=$(find /usr/lib/postgresql -name initdb | sort -V | tail -n1)
	bin=${bin%/*}
	[ -x "$bin/postgres" ] || { echo "there is no PostgreSQL" && exit 125; }
	chmod 711 "$T"
	install -d -o postgres -g postgres "$dir"
	as_postgres() { in_ns D setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }
	as_postgres "$bin/initdb" -D "$dir/data" -U postgres -A trust -N >"$T/initdb.log" 2>&1 || fail "$(tail -n3 "$T/initdb.log")"
	as_postgres "$bin/postgres" -D "$dir/data" -k "$dir" -h 127.0.0.1 -F >"$T/postgres.log" 2>&1 </dev/null &
	PID[postgres]=$!
	wait_for 20 "PostgreSQL" as_postgres psql -qh 127.0.0.1 -c 'create database skywire'
}
# real_services_stored: of transports, of addresses and of routes, as in a deployment
real_services_stored() {
	local -x PG_USER=postgres PG_DATABASE=skywire PG_PASSWORD=
	real_run tpd D transport-discovery --addr "$DISC_IP:9091" --dmsg-disc "$DISC"
	wait_for 20 "the transport discovery" get "$TPD/health"
	real_run finder D route-finder --addr "$DISC_IP:9092" --dmsg-disc "$DISC"
	real_run resolver D address-resolver --addr "$DISC_IP:9093" --dmsg-disc "$DISC"
	wait_for 20 "the route finder" get "$FINDER/health"
	wait_for 20 "the address resolver" get "$RESOLVER/health"
}

# real_finder: finds the routes in $T/routes
real_finder() {
	: >"$T/routes"
	real_run finder D python3 "$PWD/tests/interop/real/finder.py" "$DISC_IP" 9092 "$T/routes"
}
# real_setup: the node that sets routes up
real_setup() {
	real_key setup
	jq -n --arg pk "${PK[setup]}" --arg sk "${SK[setup]}" --arg disc "$DISC" --arg tpd "$TPD" '{
		public_key: $pk, secret_key: $sk, dmsg: {discovery: $disc, sessions_count: 1, servers: []},
		transport_discovery: $tpd, log_level: "info"}' >"$T/setup/config.json"
	real_run setup D setup-node config.json
	wait_for 30 "the set-up node" entry "${PK[setup]}"
}

# entry PK [FILTER]: what the discovery has; delegated PK SERVER
entry() { get "$DISC/dmsg-discovery/entry/$1" | jq -r "${2:-.}"; }
delegated() { entry "$1" '.client.delegated_servers[]' | grep -qx "$2"; }
has_server() { get "$DISC/dmsg-discovery/available_servers" | jq -e --arg k "$1" 'any(.static == $k)'; }

# real_server NAME NAMESPACE: a dmsg server
real_server() {
	real_key "$1"
	jq -n --arg pk "${PK[$1]}" --arg sk "${SK[$1]}" --arg disc "$DISC" --arg addr "${ADDR[$2]}:8081" '{
		public_key: $pk, secret_key: $sk, discovery: $disc, public_address: $addr, local_address: ":8081",
		health_endpoint_address: ":8082", log_level: "info", update_interval: 0, max_sessions: 2048}' >"$T/$1/config.json"
	real_run "$1" "$2" dmsg-server start config.json
	wait_for 10 "$1 in the discovery" has_server "${PK[$1]}"
}

# visor_conf NAME [FILTER]: a configuration that names only what is here. Without an uptime tracker there would be
# the public one; the transport discovery answers the one question without which a hypervisor does not start.
visor_conf() {
	real_key "$1"
	real_key setup
	mkdir -p "$T/$1/local" "$T/$1/files"
	jq -n --arg pk "${PK[$1]}" --arg sk "${SK[$1]}" --arg disc "$DISC" --arg tpd "$TPD" --arg ar "$RESOLVER" \
		--arg dir "$T/$1" --arg setup "${PK[setup]}" --arg finder "$FINDER" '{
		version: "v1.3.29", sk: $sk, pk: $pk,
		dmsg: {discovery: $disc, sessions_count: 1, servers: [], servers_type: "all"},
		dmsgpty: {dmsg_port: 22, cli_network: "unix", cli_address: ($dir + "/pty.sock"), whitelist: []},
		"skywire-tcp": {pk_table: {}, listening_address: ":7777"},
		transport: {discovery: $tpd, address_resolver: $ar, public_autoconnect: false, transport_setup: [],
			log_store: {type: "memory", location: ($dir + "/local"), rotation_interval: "168h0m0s"},
			stcpr_port: 0, sudph_port: 0},
		routing: {route_setup_nodes: [$setup], route_finder: $finder, route_finder_timeout: "10s", min_hops: 0},
		launcher: {service_discovery: "", apps: [], server_addr: "localhost:5505", bin_path: $dir, display_node_ip: false},
		uptime_tracker: {addr: $tpd}, survey_whitelist: [], hypervisors: [], cli_addr: "localhost:3435", log_level: "debug",
		local_path: ($dir + "/local"), dmsghttp_server_path: ($dir + "/files"), stun_servers: [],
		shutdown_timeout: "5s", is_public: false, persistent_transports: []} | '"${2:-.}" >"$T/$1/visor.json"
}
# visor_start NAME...: each in the namespace of its name
visor_start() {
	local n
	for n in "$@"; do real_run "$n" "$n" skywire-visor -c visor.json; done
	for n in "$@"; do wait_for 30 "visor $n" visor "$n" tp; done
}
# visor NAME ARGUMENTS...: asks it
visor() {
	local n=$1
	shift
	in_ns "$n" env HOME="$T/$n" PATH="$SKYWIRE_BIN:$PATH" timeout 60 skywire-cli "$@"
}
# visor_tp NAME TYPE PK: a transport is made and removed again
visor_tp() {
	local id
	id=$(visor_tp_add "$@") || return
	visor "$1" tp rm -i "$id" >/dev/null
}
visor_tp_add() { visor "$1" tp add -f -t "$2" "$3" --json | jq -er '.output[0].id'; }

# visor_comes NAME NODE TYPE [CHECK]: it makes a transport to our node, three times; CHECK ID while it is there
visor_comes() {
	local id
	for _ in 1 2 3; do
		id=$(visor_tp_add "$1" "$3" "${PK[$2]}") || fail "no transport of $1: $(visor "$1" tp add -f -t "$3" "${PK[$2]}" 2>&1 | tail -n2)"
		wait_for 5 "it is up" has_tp_of "$2" "$1" "$3" 1
		same "its id" "$(sk "$2" -j show transports | jq -r --arg k "${PK[$1]}" '.[] | select(.peer == $k) | .tp_id')" "$id"
		[ -z "${4-}" ] || expect "$4" "$4" "$id"
		visor "$1" tp rm -i "$id" >/dev/null
		wait_for 5 "it is gone" has_tp_of "$2" "$1" "$3" 0
		sleep 3 # a visor keeps what was closed for a while
	done
}
# has_tp_of NODE PEER TYPE N: so many of them are up
has_tp_of() { [ "$(sk "$1" -j show transports | jq --arg k "${PK[$2]}" --arg t "$3" '[.[] | select(.peer == $k and .type == $t and .state == "up")] | length')" = "$4" ]; }
# visor_ends NAME NODE TRANSPORT: one that our node made; it dials once, and has it back
visor_ends() {
	local before
	wait_for 90 "that to $1" tp_up "$2" "$3"
	before=$(tp "$2" "$3" handshakes)
	visor "$1" tp rm -i "$(tp "$2" "$3" tp_id)" >/dev/null
	wait_for 10 "its end" tp_not_up "$2" "$3"
	wait_for 60 "it is back" tp_up "$2" "$3"
	same "dials that were taken" "$(($(tp "$2" "$3" handshakes) - before))" 1
}

# visor_ping NAME OTHER: a route over the other and back to itself, for which the set-up node asks both by dmsg
visor_ping() {
	local id
	id=$(visor_tp_add "$1" dmsg "${PK[$2]}") || return
	echo "$id ${PK[$1]} ${PK[$2]}" >"$T/routes"
	visor "$1" visor ping "${PK[$2]}" >"$T/ping" 2>&1 || return
	visor "$1" tp rm -i "$id" >/dev/null
	grep -q Latency "$T/ping"
}

# real_dmsg_discovery SERVER_KEY: the same entries, by dmsg: http over a stream of that server. It has no entry itself.
real_dmsg_discovery() {
	real_key disc2
	real_run disc2 D dmsg-discovery --addr "$DISC_IP:9190" --sk "${SK[disc2]}"
	wait_for 90 "the discovery at the server" grep -q "$1" "$T/disc2/disc2.log"
}
# own_by_dmsg NAME SERVER_KEY SERVER_NAMESPACE: our node is published and finds others by dmsg alone
own_by_dmsg() {
	own_node "$1"
	own_knows "$1" "$2" "$3"
	node_conf "$1" controlplane dmsg "discovery=dmsg://${PK[disc2]}" sessions=1
	node_start "$1"
	wait_for 30 "$1, by dmsg" delegated "${PK[$1]}" "$2"
	same "what $1 says" "$(sk "$1" -j show discoveries | jq -r '.[] | "\(.listed) \(.error)"')" "true "
}
# own_leaves NAME: and so its entry goes
own_leaves() {
	nodes_end "$1"
	! entry "${PK[$1]}" >/dev/null || fail "the entry of $1 is there"
}

# visor_serve NAME: has a file for others' route groups
visor_serve() {
	mkdir "$T/$1/web"
	head -c 20000 /dev/urandom >"$T/$1/web/page"
	real_run "$1.web" "$1" python3 -m http.server --directory "$T/$1/web" 8000
	wait_for 10 "a server at $1" in_ns "$1" curl -sf -o /dev/null http://127.0.0.1:8000/page
	visor "$1" fwd -p 8000
}
# visor_group NAME OTHER: a route group, over dmsg, on which it gets the other's file
visor_group() {
	local id group
	id=$(visor_tp_add "$1" dmsg "${PK[$2]}") || return
	echo "$id ${PK[$1]} ${PK[$2]}" >"$T/routes"
	visor "$1" rev -k "${PK[$2]}" -r 8000 -p 9000 >"$T/group" 2>&1 || return
	in_ns "$1" curl -sf -m 20 -o "$T/page" http://127.0.0.1:9000/page || return
	cmp "$T/page" "$T/$2/web/page" || return
	group=$(visor "$1" rev -l | grep -oE '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}') || return
	visor "$1" rev -d "$group" || return
	visor "$1" tp rm -i "$id" >/dev/null
}

# have PROGRAM: for the cases that a test can leave out, which it then says
have() {
	[ -x "$SKYWIRE_BIN/$1" ] || { say "left out, there is no $1 in SKYWIRE_BIN: $2" && return 1; }
}

# ---- our programs ----

# own_node NAME: its port is an idle one, for what is tested here comes to its control plane
own_node() {
	ip -n "$1" link add d0 type veth peer name d1
	ip -n "$1" link set d0 up
	ip -n "$1" link set d1 up
	node_new "$1" d0
}
# own_server NAME [DISCOVERY]: its key in SERVER; published, unless that is empty
# shellcheck disable=SC2034
own_server() {
	own_node "$1"
	SERVER=$(node_key "$T/$1/dmsg.key")
	node_conf "$1" controlplane dmsg_server "listen=${ADDR[$1]}:8081" "key_file=$T/$1/dmsg.key" \
		"public_address=${ADDR[$1]}:8081" "discovery=${2-$DISC}"
}
# own_server_up NAME: made and started, and in the discovery
own_server_up() {
	own_server "$1"
	node_start "$1"
	wait_for 20 "our server in the discovery" has_server "$SERVER"
}
# own_client NAME SERVER_KEY SERVER_NAMESPACE: published with that server
own_client() {
	own_node "$1"
	own_knows "$1" "$2" "$3"
	node_conf "$1" controlplane dmsg "discovery=$DISC" sessions=1
}
# own_knows NAME SERVER_KEY SERVER_NAMESPACE
own_knows() { node_conf "$1" controlplane "server $3" "key=$2" "address=${ADDR[$3]}:8081"; }
own_session() { [ "$(sk "$1" -j show servers | jq -r '.[0].state')" = open ]; }
own_listeners() { sk "$1" -j show dmsg | jq .listeners; }
# own_listens NODE [NUMBER]: beside that for transports, of which each client has one
own_listens() { [ "$(own_listeners "$1")" = "${2:-2}" ]; }
# own_has NODE PK [NUMBER]: so many sessions of a client at our server
own_has() { [ "$(sk "$1" -j show sessions | jq -r --arg k "$2" 'map(select(.pk == $k)) | length')" = "${3:-1}" ]; }

# own_get NODE PK:PORT FILE TO: from an HTTP server, who finishes first. Our input ends later, or the end of it would be
# that of the answer, too.
own_get() {
	local pid
	rm -f "$T/ask"
	mkfifo "$T/ask"
	sk "$1" dmsg dial "$2" <"$T/ask" >"$4.http" 2>"$T/dial.log" &
	pid=$!
	exec 8>"$T/ask"
	printf 'GET /%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$3" "$2" >&8
	wait "$pid" || fail "dial $2: $(cat "$T/dial.log")"
	exec 8>&-
	head -n1 "$4.http" | grep -q ' 200 ' || fail "$2 answers $(head -n1 "$4.http")"
	tail -c "$BYTES" "$4.http" >"$4"
	rm "$4.http"
}

# ---- pairs over one server: node A dials, node B listens; so do the real clients H and G ----

DIALLED=4000

# pairs_new SERVER_KEY SERVER_NAMESPACE ours|real: all but the server
pairs_new() {
	WHOSE=$3
	head -c "$BYTES" /dev/urandom >"$T/file"
	FILE_SUM=$(sha256sum <"$T/file")
	own_client A "$1" "$2"
	own_client B "$1" "$2"
	node_start A B
	real_key G
	ln "$T/file" "$T/G/file"
	pairs_sender
	if [ -x "$SKYWIRE_BIN/dmsg-socks5" ]; then
		real_key P
		real_run P G dmsg-socks5 server -D "$DISC" -s "${SK[P]}"
	fi
	pairs_up "$1"
}
pairs_sender() { real_run G G dmsghttp -d "$T/G" -D "$DISC" -s "${SK[G]}"; }
# pairs_up SERVER_KEY: and so they are after a restart
pairs_up() {
	wait_for 60 "A's session" own_session A
	wait_for 60 "B's session" own_session B
	wait_for 60 "G in the discovery" delegated "${PK[G]}" "$1"
	wait_for 60 "B in the discovery" delegated "${PK[B]}" "$1"
}

# whole FILE WHAT
whole() {
	same "checksum, $2" "$(sha256sum <"$1")" "$FILE_SUM"
	rm "$1"
}

# own_serve NODE: is an HTTP server with one answer; served: and it was taken
own_serve() {
	local n
	n=$(own_listeners "$1")
	{
		printf 'HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n' "$BYTES"
		cat "$T/file"
	} | sk "$1" dmsg listen $DIALLED >"$T/asked" 2>"$T/serve.log" &
	SERVING=$!
	wait_for 10 "a listener" own_listens "$1" $((n + 1))
}
served() { wait "$SERVING" || fail "listen: $(cat "$T/serve.log")"; }

# curl_from PK:PORT WHAT: H, another client each time, fetches the file
curl_from() {
	real_run H H dmsgcurl -c "$DISC" -l debug -o copy "dmsg://$1/file"
	wait "${PID[H]}" || fail "dmsgcurl, $2: $(tail -n3 "$T/H/H.log")"
	whole "$T/H/copy" "$2"
}

# pairs_carry WHEN SERVER_KEY
pairs_carry() {
	local pid
	say "$1: ours to ours, from the dialler"
	sk B dmsg listen $DIALLED </dev/null >"$T/copy" &
	pid=$!
	wait_for 10 "a listener" own_listens B
	sk A dmsg dial "${PK[B]}:$DIALLED" <"$T/file" >/dev/null || fail "dial: $?"
	wait "$pid" || fail "listen: $?"
	whole "$T/copy" "ours to ours"

	say "$1: ours to ours, from the listener"
	sk B dmsg listen $DIALLED <"$T/file" >/dev/null &
	pid=$!
	wait_for 10 "a listener" own_listens B
	sk A dmsg dial "${PK[B]}:$DIALLED" </dev/null >"$T/copy" || fail "dial: $?"
	wait "$pid" || fail "listen: $?"
	whole "$T/copy" "ours from ours"
	row "our client | $WHOSE | our client"

	say "$1: ours dials, a real client sends"
	own_get A "${PK[G]}:80" file "$T/copy"
	whole "$T/copy" "ours from real"
	row "our client | $WHOSE | real client (dmsghttp)"

	say "$1: a real client dials, ours sends"
	own_serve B
	curl_from "${PK[B]}:$DIALLED" "real from ours"
	served
	expect "the question" grep -q '^GET /file ' "$T/asked"
	row "real client (dmsgcurl) | $WHOSE | our client"

	say "$1: real clients"
	curl_from "${PK[G]}:80" "real from real"
	row "real client (dmsgcurl) | $WHOSE | real client (dmsghttp)"
	! have dmsg-socks5 "ours dials, and sends to a real client" || pairs_upload "$1" "$2"
	real_clean
}

# pairs_upload WHEN SERVER_KEY: a real proxy hands what A sends to a sink
pairs_upload() {
	say "$1: ours dials, and sends to a real client"
	wait_for 60 "P in the discovery" delegated "${PK[P]}" "$2"
	real_run sink G python3 "$PWD/tests/interop/real/sink.py" 7000
	wait_for 10 "the sink" grep -q listens "$T/sink/sink.log"
	{
		printf '\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01\x1b\x58' # SOCKS: to 127.0.0.1:7000
		cat "$T/file"
	} | sk A dmsg dial "${PK[P]}:1081" >/dev/null || fail "dial: $?"
	wait "${PID[sink]}" || fail "the sink"
	same "checksum, real to ours" "$(tail -n1 "$T/sink/sink.log")" "${FILE_SUM%% *}"
	rm "$T/sink/sink.log"
	row "our client | $WHOSE | real client (dmsg-socks5)"
}

# real_clean: no real program has stopped doing a part of its work, or would have fallen
real_clean() {
	local bad
	bad=$(grep -HE 'Failed to accept transport|serveRouteGroup stopped|stopped serving|panic' "$T"/*/*.log || true)
	[ -z "$bad" ] || fail "a log says: $bad"
}
