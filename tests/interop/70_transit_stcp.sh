#!/bin/bash
# Our node between two routers in Go, by stcp and rules by hand: a route group of theirs passes, both ways; bad peers
# are let go in time and leave the good ones alone; a transport that breaks is back, and so is the route.
#
#   [ga] dials --- [N] --- dials [gc]      [gx] is bad
. "$(dirname "$0")/_init.sh"

peers_net ga N gc gx
own_node N
go_key ga
go_key gc
go_key gx
node_conf N controlplane stcp "listen=${IP[N]}:7777"
node_conf N controlplane "transport a" "peer=${PK[ga]}" type=stcp dial=no
node_conf N controlplane "transport c" "peer=${PK[gc]}" type=stcp dial=no
node_conf N controlplane "transport x" "peer=${PK[gx]}" type=stcp dial=no
node_start N
AT=${PK[N]}@${IP[N]}:7777

# hears IN OUT [OPTION...]: gc waits for the group, by rules of which none outlives one; calls IN OUT [OPTION...]: ga makes it
hears() {
	sk N rule del 1 2 >/dev/null 2>&1 || true
	sk N rule add intermediary id=1 next=11 transport=c --static >/dev/null
	sk N rule add intermediary id=2 next=12 transport=a --static >/dev/null
	: >"$T/gc.log"
	go_peer gc rlisten -v "${@:3}" -stcp "$AT" -edge "11:2@${PK[N]},${PK[ga]}" 3 <"$1" >"$2" 2>"$T/gc.log" &
	HEARER=$!
	wait_for 20 "the listener" grep -q ready "$T/gc.log"
}
calls() {
	go_peer ga rdial -v "${@:3}" -stcp "$AT" -edge "12:1@${PK[N]},${PK[gc]}" "${PK[gc]}:3" <"$1" >"$2" 2>"$T/ga.log"
}
over() { wait $HEARER || fail "$1, listener: $(tail -n3 "$T/gc.log")"; }
rates() { say "$1: $(grep -h 'MB/s' "$T/ga.log" "$T/gc.log" | xargs)"; }

say "one way"
hears /dev/null "$T/copy"
calls "$T/file" /dev/null || fail "dial: $(tail -n3 "$T/ga.log")"
over "one way"
same "checksum, to the listener" "$(sha256sum <"$T/copy")" "$SUM"
rates "one way"
for gen in 2024 2026; do
	say "both ways at once, $gen"
	hears "$T/file" "$T/copy" -gen $gen -expect $BYTES
	calls "$T/file" "$T/back" -gen $gen -pq -expect $BYTES || fail "dial: $(tail -n3 "$T/ga.log")"
	over "both ways"
	same "checksum, to the listener" "$(sha256sum <"$T/copy")" "$SUM"
	same "checksum, to the dialler" "$(sha256sum <"$T/back")" "$SUM"
	rates "both ways, $gen"
	echo "Go $gen, group by stcp | ours, rules by hand | Go $gen" >>build/interop/matrix
done
say "bad peers, and a group beside them"
# fault WORD MOST: left after so many seconds at most, or told what was wrong
fault() {
	local said
	said=$(timeout 60 ip netns exec gx "$PEER" stcp -key "$T/gx/key" -fault "$1" "$AT" 2>&1) && echo "$1: taken: $said" && return
	case $said in
	*"$1: left after "*) awk -v most="$2" -v word="$1" '{ if ($(NF - 1) > most) print word ": after " $(NF - 1) " s" }' <<<"$said" ;;
	*"frame 3: "* | *"settlement: "* | *EOF | *reset* | *"broken pipe"*) ;;
	*) echo "$1: $said" ;;
	esac
}
for f in "forge-hello 2" "oversize 2" "forge-entry 2" "other-entry 2" "no-noise 7"; do # one peer has one transport
	# shellcheck disable=SC2086
	fault $f >"$T/fault.${f% *}"
done
bad=()
for f in "silent 12" "mute 12" "slow 12" "long 12" "stall 23"; do
	# shellcheck disable=SC2086
	fault $f >"$T/fault.${f% *}" &
	bad+=($!)
done
hears /dev/null "$T/copy"
calls "$T/file" /dev/null || fail "dial beside bad peers: $(tail -n3 "$T/ga.log")"
over "beside bad peers"
same "checksum beside bad peers" "$(sha256sum <"$T/copy")" "$SUM"
wait "${bad[@]}"
same "how they were borne" "$(cat "$T"/fault.*)" ""
same "the node afterwards" "$(sk N -j show transports | jq -r '[.[] | select(.state == "up") | .name] | sort | join(",")')" ""

logs_clean N
nodes_end N
