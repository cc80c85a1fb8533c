# Prelude of every smoke test: `. "$(dirname "$0")/_init.sh"` isolates it (tests/support/net.sh), gives
# it a temporary directory and says how it ended. A test is a list of commands of which the first that
# fails ends it; exit 125 means skipped. Logs are printed on failure, all of them kept where
# SKYRAIL_SMOKE_LOGS says.
# shellcheck shell=bash
set -eEuo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/support/net.sh
. tests/support/net.sh
net_isolate "$(realpath "$0" 2>/dev/null || echo "tests/smoke/$(basename "$0")")" "$@"
net_temp

for program in skyrail skyrail-dataplane skyrail-controlplane; do
	[ -x "$BIN/$program" ] || { echo "$BIN/$program is not built: run make first" >&2 && exit 1; }
done

# fail TEXT...: end the test
fail() {
	say "FAILED: $*"
	exit 1
}

# expect WHAT COMMAND...: a condition that must hold now
expect() {
	local what=$1
	shift
	"$@" || fail "$what"
}

# same WHAT A B
same() {
	[ "$2" = "$3" ] || fail "$1: $2 is not $3"
}

smoke_end() {
	local rc=$? log
	trap - EXIT ERR
	set +e
	if [ $rc -ne 0 ] && [ $rc -ne 125 ]; then
		for n in A B C; do
			[ -n "${PID[$n.cp]:-}" ] || continue
			printf '%s\n' "---- node $n"
			sk "$n" show transports -a
			sk "$n" show rules
			drops_text "$n"
		done 2>&1
		for log in "$T"/*/*.log "$T"/*.log; do
			[ -s "$log" ] && printf -- '---- %s\n' "${log#"$T"/}" && tail -n 40 "$log"
		done
	fi
	if [ -n "${SKYRAIL_SMOKE_LOGS:-}" ]; then
		log=$SKYRAIL_SMOKE_LOGS/$(basename "$0" .sh)
		mkdir -p "$log"
		(cd "$T" && find . -name '*.log' -o -name '*.ini') | (cd "$T" && xargs -r cp --parents -t "$log")
	fi
	rm -rf "$T"
	exit $rc
}
trap smoke_end EXIT
trap 'exit 143' TERM INT
trap 'say "line $LINENO: $BASH_COMMAND" >&2' ERR

# Orderly end of all nodes: each process must end with 0, and leave nothing behind.
nodes_end() {
	local n
	for n in "$@"; do
		node_kill "$n.cp" TERM || fail "control plane of $n ended with $?"
		node_kill "$n.dp" TERM || fail "data plane of $n ended with $?"
		[ ! -e "$T/$n/run/dataplane.sock" ] || fail "$n left its socket behind"
	done
}

# logs_clean NODE...: no error in a log
logs_clean() {
	local bad
	for n in "$@"; do
		bad=$(grep -hE '(^|[^a-z])(err|error|ERROR)[: ]|Sanitizer|assert' "$T/$n"/*.log || true)
		[ -z "$bad" ] || fail "log of $n: $bad"
	done
}
