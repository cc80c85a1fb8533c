# Prelude of the tests with peers that we did not write: tests/interop/peer, in Go, on the libraries that Skywire
# stands on (`make interop` builds it). Each program has a namespace; a bridge in W joins them, with no way out.
# shellcheck shell=bash
# shellcheck source=tests/smoke/_init.sh
. "$(dirname "${BASH_SOURCE[0]}")/../smoke/_init.sh"

PEER=$PWD/build/interop/peer
[ -x "$PEER" ] || { echo "$PEER is not built: make interop does" >&2 && exit 1; }
BYTES=$((100 * 1024 * 1024)) PORT=4000
declare -A IP=() SERVER=() # of namespaces; PK@ADDRESS of servers
head -c "$BYTES" /dev/urandom >"$T/file"
SUM=$(sha256sum <"$T/file")

# peers_net NAMESPACE...: 10.1.0.1 and so on; of another /24 if NET says so
peers_net() {
	local ns n=0
	net_add W
	ip -n W link add sw type bridge
	ip -n W link set sw up
	for ns in "$@"; do
		n=$((n + 1)) IP[$ns]=${NET:-10.1.0}.$n
		net_add "$ns"
		ip link add e0 netns "$ns" type veth peer name "w$n" netns W
		ip -n W link set "w$n" master sw up
		net_up "$ns" e0 "${IP[$ns]}/24"
	done
}

# ---- Go peers: NAME is the namespace, too ----

# go_key NAME: made once; PK[NAME]
go_key() {
	mkdir -p "$T/$1"
	[ -n "${PK[$1]:-}" ] || PK[$1]=$("$PEER" key "$T/$1/key")
}
# go_peer NAME COMMAND [ARGUMENT...]
go_peer() {
	local name=$1 command=$2
	shift 2
	ip netns exec "$name" "$PEER" "$command" -key "$T/$name/key" "$@"
}
# go_start NAME COMMAND [ARGUMENT...]: until it is killed; what it prints is in $T/NAME/out
go_start() {
	local name=$1 command=$2
	shift 2
	go_key "$name"
	: >"$T/$name/out"
	(exec ip netns exec "$name" "$PEER" "$command" -v -key "$T/$name/key" "$@") \
		>"$T/$name/out" 2>>"$T/$name/$command.log" &
	PID[$name]=$!
	wait_for 10 "$command $name" grep -q ready "$T/$name/out"
}
# go_server NAME [OPTION...]
go_server() {
	go_key "$1"
	SERVER[$1]=${PK[$1]}@${IP[$1]}:8081
	go_start "$1" server "${@:2}" "${IP[$1]}:8081"
}

# go_discovery NAME [OPTION...]: DISC is its URL
# shellcheck disable=SC2034
go_discovery() {
	DISC=http://${IP[$1]}:9090
	go_start "$1" discovery "${@:2}" "${IP[$1]}:9090"
}

# ---- our nodes ----

# own_node NAME: what is tested of it is the control plane
own_node() { node_new "$1" net_null0,no-rx=1; }
# own_server NAME [KEY=VALUE...]
own_server() {
	own_node "$1"
	local key
	key=$(node_key "$T/$1/dmsg.key")
	SERVER[$1]=$key@${IP[$1]}:8081
	node_conf "$1" controlplane dmsg_server "listen=${IP[$1]}:8081" "key_file=$T/$1/dmsg.key" "${@:2}"
}
# own_client NAME SERVER...
own_client() {
	local name=$1 s
	shift
	own_node "$name"
	for s in "$@"; do
		node_conf "$name" controlplane "server $s" "key=${SERVER[$s]%@*}" "address=${SERVER[$s]#*@}"
	done
}
own_open() { [ "$(sk "$1" -j show servers | jq 'map(select(.state == "open")) | length')" = "$2" ]; }
own_listens() { [ "$(sk "$1" -j show dmsg | jq -r .listeners)" = 2 ]; }
own_has() { sk "$1" -j show sessions | jq -e --arg k "$2" 'any(.pk == $k)' >/dev/null; }

# ---- a stream from one to the other ----

# dials NAME OPTIONS TO; listens NAME OPTIONS: in the words of each; options are for Go peers
dials() {
	# shellcheck disable=SC2086
	case $1 in
	g*) go_peer "$1" dial $2 "$3" 2>>"$T/dial.log" ;;
	*) sk "$1" dmsg dial "$3" 2>>"$T/dial.log" ;;
	esac
}
listens() {
	# shellcheck disable=SC2086
	case $1 in
	g*) go_peer "$1" listen $2 $PORT 2>>"$T/listen.log" ;;
	*) sk "$1" dmsg listen $PORT 2>>"$T/listen.log" ;;
	esac
}
listener_is_up() {
	case $1 in
	g*) grep -q ready "$T/listen.log" ;;
	*) own_listens "$1" ;;
	esac
}

# carry "DIALLER | SERVER | LISTENER" DIALLER OPTIONS LISTENER OPTIONS: the file to the listener, then one from him;
# the first is the row of docs/interop.md
carry() {
	local what=$1 dialler=$2 dopt=$3 listener=$4 lopt=$5 pid
	say "$what: from the dialler"
	: >"$T/listen.log"
	: >"$T/dial.log"
	listens "$listener" "$lopt" </dev/null >"$T/copy" &
	pid=$!
	wait_for 10 "a listener, $what" listener_is_up "$listener"
	dials "$dialler" "$dopt" "${PK[$listener]}:$PORT" <"$T/file" >/dev/null || fail "dial, $what: $(tail -n3 "$T/dial.log")"
	wait $pid || fail "listen, $what: $(tail -n3 "$T/listen.log")"
	same "checksum, $what" "$(sha256sum <"$T/copy")" "$SUM"
	same_request "$what"

	say "$what: from the listener"
	: >"$T/listen.log"
	listens "$listener" "$lopt" <"$T/file" >/dev/null &
	pid=$!
	wait_for 10 "a listener, $what" listener_is_up "$listener"
	dials "$dialler" "$dopt" "${PK[$listener]}:$PORT" </dev/null >"$T/copy" || fail "dial, $what: $(tail -n3 "$T/dial.log")"
	wait $pid || fail "listen, $what: $(tail -n3 "$T/listen.log")"
	same "checksum, $what" "$(sha256sum <"$T/copy")" "$SUM"
	echo "$what" >>build/interop/matrix
}
# Between Go peers: the signed object is the same at both ends.
same_request() {
	local sent got
	sent=$(grep '^request' "$T/dial.log" || true)
	got=$(grep '^request' "$T/listen.log" || true)
	[ -z "$sent" ] || [ -z "$got" ] || same "signed request, $1" "$got" "$sent"
}

peers_end() {
	local n
	for n in "$@"; do node_kill "$n" TERM || true; done
}
