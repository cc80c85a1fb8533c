#!/bin/bash
# Transports that are dropped and dialled again a hundred times (REDIALS=N), at random instants, by either end, and by both at
# once: no visor stops to take transports, each is back in the end, and once.
#
#   N -> V, X -> N, M <-> V by stcp;  N -> X, V -> N, M <-> X by dmsg       V, X: visors; N, M: ours; ->: dials
. "$(dirname "$0")/_routes.sh" dmsg-server setup-node

REDIALS=${REDIALS:-100}
PAIRS=(stcp/N/V stcp/X/N stcp/M/V dmsg/N/X dmsg/V/N dmsg/M/X)
routes_new
routes_setup real
# what a visor keeps up, it dials every ten seconds
keeps() { jq -nc --args '[$ARGS.positional | _nwise(2) | {pk: .[0], type: .[1]}]' "$@"; }
routes_visor V X ".persistent_transports = $(keeps "${PK[N]}" dmsg "${PK[M]}" stcp)"
routes_visor X V ".persistent_transports = $(keeps "${PK[N]}" stcp "${PK[M]}" dmsg)"
declare -A OURS=() # what our transports say besides the peer
ours_to() { # NODE OTHER TYPE [dial=no]
	local words="type=$3 ${4:-}"
	[ "$3" != stcp ] || [ $# -gt 3 ] || words+="address=${ADDR[$2]}:7777"
	OURS[$1-$2-$3]="peer=${PK[$2]} $words"
}
ours_to N V stcp
ours_to N X stcp dial=no
ours_to M V stcp
ours_to N X dmsg
ours_to N V dmsg dial=no
ours_to M X dmsg
# shellcheck disable=SC2086
ours_add() { sk "$1" transport add "$3-$2" ${OURS[$1-$2-$3]} >/dev/null; }
routes_start
# split PAIR: its TYPE, NODE of ours and OTHER
split() {
	IFS=/ read -r TYPE NODE OTHER <<<"$1"
	ours "$NODE" || read -r NODE OTHER <<<"$OTHER $NODE"
}
each() { # COMMAND NODE OTHER TYPE of all pairs, while it succeeds
	local p
	for p in "${PAIRS[@]}"; do split "$p" && "$@" "$NODE" "$OTHER" "$TYPE" || return; done
}
is_up() { tp_up "$1" "$3-$2"; }
is_once() { has_tps "$1" "$2" "$3" 1; }
each ours_add
wait_for 90 "all of them" each is_up

# drop NODE OTHER TYPE: by one end or the other, whatever state it is in
drop() {
	case $((RANDOM % 3)) in
	0) visor "$2" tp rm -i "$(tp "$1" "$3-$2" tp_id)" >/dev/null 2>&1 || true ;;
	1)
		sk "$1" transport del "$3-$2" >/dev/null
		ours_add "$1" "$2" "$3"
		;;
	2)
		# in the middle of a settlement that would be the end of all that a visor accepts, by its own fault
		if [ "$3" = stcp ] && is_up "$@"; then
			in_ns "$1" ss -K dst "${ADDR[$2]}" '( sport = :7777 or dport = :7777 )' >/dev/null 2>&1 || true
		fi
		;;
	esac
}

say "$REDIALS times"
for ((i = 1; i <= REDIALS; i++)); do
	sleep "$((RANDOM % 5)).$((RANDOM % 10))"
	split "${PAIRS[$((RANDOM % ${#PAIRS[@]}))]}"
	drop "$NODE" "$OTHER" "$TYPE"
	[ $((i % 20)) != 0 ] || { real_clean && say "$i"; }
done
wait_for 120 "all of them again" each is_up
wait_for 30 "each registered once" each is_once
for n in N M; do say "links of $n: $(sk $n -j show transports | jq -r 'map("\(.name) \(.handshakes)") | join(", ")')"; done
fit "$REDIALS drops"
wait_for 120 "all of them after that" each is_up
row "ours and visors, dropped a hundred times | stcp, dmsg | visors and ours"
logs_clean N M
nodes_end N M
