#!/bin/bash
# Chains of visors and our nodes, over stcp, stcpr and dmsg, their routes found by the real route finder and laid by the real set-up
# node or by ours (at a dmsg server of the same kind): skysocks between visors, our bench service between ours.
#
#   V - N - X      N - V - M      V - N - M - X       V, X: visors; N, M: ours
#
# CHAINS="SETUP TYPE NAME..." takes those rows of the table alone that are like this pattern.
. "$(dirname "$0")/_routes.sh" dmsg-server setup-node

table() {
	local setup type chain
	for setup in real ours; do
		for type in stcp stcpr dmsg; do
			for chain in "V N X" "N V M" "V N M X"; do echo "$setup $type $chain"; done
		done
	done
}

# carry_socks TYPE NAME...: over the chain, which begins and ends with visors
carry_socks() {
	local least n
	socks_up V || fail "no proxy"
	socks_carry V
	for n in "${@:3:$#-3}"; do
		least=$(passed "$n")
		expect "all went over $n: $least" test "$least" -ge "$BYTES"
	done
	socks_down V
}
# carry_bench TYPE NAME...: begins and ends with ours
carry_bench() {
	python3 tests/smoke/route_bench.py "$BIN/skyrail" "$T/$2/run/control.sock" "${PK[${!#}]}:5" min-hops=2 -- \
		sum "$BYTES" give "$BYTES" || fail "bench: $?"
}

kind() { if ours "$1"; then echo ours; else echo visor; fi; }
# chain SETUP TYPE NAME...
chain() {
	local setup=$1 type=$2 n middle
	shift
	say "$setup: $*"
	chain_do link "$@"
	if ours "$2"; then carry_bench "$@"; else carry_socks "$@"; fi
	for n in "${@:2}"; do ! ours "$n" || wait_for 20 "no rules at $n" no_rules "$n"; done
	chain_do unlink "$@"
	middle=$(kind "$3")
	[ $# -eq 4 ] || middle+=" - $(kind "$4")"
	real_clean
	row "$(kind "$2"), group by $type | $middle, laid by $setup | $(kind "${!#}")"
}

now='' type=''
routes_new
while read -r setup row; do
	# shellcheck disable=SC2053
	[[ "$setup $row" == ${CHAINS:-*} ]] || continue
	[ -z "$type" ] || [ "$setup $type" = "$now ${row%% *}" ] || fit "$now, $type"
	type=${row%% *}
	if [ "$setup" != "$now" ]; then
		routes_setup "$setup"
		[ -n "$now" ] || routes_start
		now=$setup
	fi
	# shellcheck disable=SC2086
	chain "$setup" $row
done < <(table)
fit "$now, $type"
logs_clean N M
nodes_end N M
