#!/bin/bash
# skyrail-bench: in memory, and as both neighbours of a real node, which it sets up by its API and, the
# second time, finds set up.
#
#   [A: bench] a0 ---- b0 [B] b1 ---- a1 [A: bench]
. "$(dirname "$0")/_init.sh"

# bench ARGUMENTS...: in A, JSON in $T/bench.json
bench() {
	in_ns A nice -n -10 "$BIN/skyrail-bench" --hugepages no -q -j "$T/bench.json" "$@" 2>"$T/bench.log" || {
		local rc=$?
		cat "$T/bench.log"
		return $rc
	}
}
json() { jq -r "$1" "$T/bench.json"; }

net_add A

# in memory; a busy machine may lose packets, but never its account of them
bench -R 20k -d 1s --warm-up 100ms -r 100 -s imix -c chacha20-poly1305 --queue 32768 --max-loss 100%
expect "books in memory" test "$(json '.run | .received + .lost == .intended and .sent + .unsent == .intended')" = true
expect "packets in memory" test "$(json '.run.received')" -gt 1000
same "strangers" "$(json '.run.duplicates + .run.reordered + .run.strange')" 0
expect "latency" test "$(json '.run.latency_us | .p50 > 0 and .p50 <= .p99 and .p99 <= .max')" = true

# the same, where what is lost is repeated
bench -m reliable -R 20k -d 1s --warm-up 100ms -r 100 -s imix -c chacha20-poly1305 --drain 5s --max-loss 100%
same "links" "$(json .setup.links)" reliable
same "all of it in memory" "$(json '.run.received')" "$(json '.run.sent')"
same "strangers" "$(json '.run.duplicates + .run.reordered + .run.strange')" 0
rc=0
bench -m reliable --prepare -R 20k || rc=$?
same "prepared acks" $rc 2

# a search, and thresholds
bench -l -d 50ms --initial 50ms --trials 1 --width 20% --max-rate 100k --latency 50 --csv "$T/bench.csv" --max-loss 100%
expect "NDR" test "$(json '.ndr.state')" != unfinished
expect "trials" test "$(json '.trials | length')" -gt 0
same "CSV lines" "$(wc -l <"$T/bench.csv")" "$((1 + 2 + $(json '(.trials | length) + (.latency | length)')))"
same "CSV columns" "$(tr -cd ',\n' <"$T/bench.csv" | sort -u | wc -l)" 1
rc=0
bench -l -d 50ms --initial 50ms --trials 1 --width 50% --max-rate 10k --latency none --min-ndr 1M || rc=$?
same "a threshold missed" $rc 1
expect "-q says which" grep -q 'min-ndr .*MISSED' "$T/bench.log"
same "which one" "$(json '.ok, (.thresholds[] | .name, .met)' | tr '\n' ' ')" "false min-ndr false "
rc=0
in_ns A timeout --preserve-status -s INT 6 "$BIN/skyrail-bench" -l --hugepages no -j "$T/bench.json" \
	-d 100ms --initial 100ms --trials 1000 --max-rate 10k --latency none --min-ndr 1M >"$T/bench.log" 2>&1 || rc=$?
same "interrupted" $rc 3
same "no verdict" "$(json '.ok, (.thresholds[] | .name, .met)' | tr '\n' ' ')" "false min-ndr null "
expect "it says so" grep -q 'min-ndr .*no verdict' "$T/bench.log"
# cut SECONDS RATE ARGUMENTS...: a run that is interrupted, its exit status in rc
cut() {
	rc=0
	in_ns A timeout --preserve-status -s INT "$1" "$BIN/skyrail-bench" -l --hugepages no -j "$T/bench.json" \
		-R "$2" "${@:3}" >"$T/bench.log" 2>&1 || rc=$?
}
cut 4 10k -d 1h
same "a run interrupted" $rc 3
expect "it says what came" grep -q 'sent [0-9].* cut short' "$T/bench.log"
same "what came" "$(json '.complete, .run.cut_short, .run.received > 100, .run.duration_s < 10' | tr '\n' ' ')" "false true true true "
cut 4 500M -d 5s --max-loss 0.1%
same "interrupted when it was missed" $rc 1

# where the results cannot go is told before they are there
rc=0
in_ns A "$BIN/skyrail-bench" -l --hugepages no -R 1k -d 1h --csv "$T/nowhere/x" >"$T/bench.log" 2>&1 || rc=$?
same "no such directory" $rc 1
same "why" "$(cat "$T/bench.log")" "skyrail-bench: $T/nowhere/x: No such file or directory"
rc=0
bench -j - --csv - || rc=$?
same "both on standard output" $rc 2

rc=0
bench --mode x || rc=$?
same "usage" $rc 2
expect "an option as typed" grep -q -- '--mode x: datagram or reliable' "$T/bench.log"
in_ns A "$BIN/skyrail-bench" -l --hugepages no -R 500M -d 100ms --warm-up 0s >"$T/bench.log"
expect "where all that was lost remained" grep -qE '[1-9][0-9.]* % = [0-9]+ unsent( \+ [0-9]+ refused)?( \+ [0-9]+ missed)?( |$)' "$T/bench.log"
expect "whose limit it is" grep -q '^the generator is the limit of this run' "$T/bench.log"
rc=0
bench --no-such-option || rc=$?
same "usage" $rc 2

# a real node, through two ports, set up by its API
ports=(-p "net_af_packet0,iface=a0" --address 10.1.1.1 --node 10.1.1.2
	-p "net_af_packet1,iface=a1" --address 10.1.2.1 --node 10.1.2.2)
net_add B
net_link A a0 10.1.1.1/24 B b0 10.1.1.2/24
net_link B b1 10.1.2.2/24 A a1 10.1.2.1/24
node_new B b0 b1
node_conf B controlplane link rekey=1s
node_start B

# each time from a fresh start, while the node learns late what its own workers did: of a link that is up here
chrt -i -p 0 "${PID[B.dp]}" # its main lcore, which tells the control plane
chrt -i -p 0 "${PID[B.cp]}"
main=$(taskset -pc "${PID[B.dp]}" | sed 's/.*: //')
for i in 1 2 3 4 5; do
	in_ns A taskset -c "$main" "$BIN/skyrail-bench" "${ports[@]}" --hugepages no --api "$T/B/run/control.sock" \
		-R 2k -d 50ms --warm-up 0s -r 20 >"$T/bench.log" 2>&1 || fail "start $i: $(cat "$T/bench.log")"
done
chrt -o -p 0 "${PID[B.dp]}"
chrt -o -p 0 "${PID[B.cp]}"

bench "${ports[@]}" --api "$T/B/run/control.sock" -R 2k -d 2s -r 20 -s 64,1300 --rekey 500ms --max-loss 100%
expect "books on the wire" test "$(json '.run | .received + .lost == .intended')" = true
expect "packets on the wire" test "$(json '.run.received')" -gt 2000
same "strangers on the wire" "$(json '.run.strange + .run.duplicates')" 0
expect "our re-keys" test "$(json .keys)" -gt 4
expect "B forwarded them" test "$(counter B pkt_forwarded)" -ge "$(json '.run.received')"
same "rules that it left" "$(sk B -j show rules | jq length)" 0
same "transports that it left" "$(sk B -j show transports | jq length)" 0

# all that it may tell as dropped by the node is in the node's list
same "drops of devices" "$(sk B -j show drops | jq -c '[.drops[].name | select(startswith("port_"))]')" '["port_rx_missed","port_rx_nombuf"]'

# where it cannot work, it says why
refused() { # WHAT PATTERN IN NAMESPACE ARGUMENTS...
	rc=0
	in_ns "$3" "$BIN/skyrail-bench" --hugepages no --api "$T/B/run/control.sock" -R 1k "${@:4}" >"$T/bench.log" 2>&1 || rc=$?
	same "$1: status" $rc 1
	expect "$1: why" grep -q -- "$2" "$T/bench.log"
}
refused "at the node's end" 'at the other end' B -p net_af_packet0,iface=b0 --address 10.1.1.9 --node 10.1.1.2
ip netns exec A python3 -c 'import socket, time; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(("", 7780)); time.sleep(60)' &
taken=$!
wait_for 5 "a port in use" in_ns A sh -c 'ss -lun | grep -q :7780'
refused "a port in use" '7780: .* --udp-port' A "${ports[@]}"
kill $taken
wait $taken || true

# what a bench leaves that was killed, the next one removes; what a process owns that lives stays
ip netns exec A "$BIN/skyrail-bench" "${ports[@]}" --hugepages no --api "$T/B/run/control.sock" -R 1k -d 1m --warm-up 0s >"$T/killed.log" 2>&1 &
killed=$!
sk B transport add "bench-$$-0" "peer=$("$BIN/skyrail" key gen "$T/other.key")" address=10.1.1.9:7780
mkdir "/run/dpdk/skyrail-bench-$$"
bench_up() { [ "$(sk B -j show transports | jq '[.[] | select(.state == "up")] | length')" = 2 ]; }
wait_for 20 "its transports" bench_up
kill -KILL $killed
wait $killed || true
expect "its directory stays" test -d "/run/dpdk/skyrail-bench-$killed"
bench "${ports[@]}" --api "$T/B/run/control.sock" -R 1k -d 100ms --max-loss 100%
expect "... until the next one" test ! -e "/run/dpdk/skyrail-bench-$killed"
expect "that of a process that lives" test -d "/run/dpdk/skyrail-bench-$$"
same "whose transports are there" "$(sk B -j show transports | jq -r '.[].name' | tr '\n' ' ')" "bench-$$-0 "
sk B transport del "bench-$$-0"

# rules that end meanwhile: the node dropped them, and says why
bench "${ports[@]}" --api "$T/B/run/control.sock" -R 2k -d 10s -r 20 --warm-up 0s --max-loss 100% &
running=$!
sending() { [ "$(counter B pkt_forwarded)" -gt "$1" ]; }
wait_for 10 "packets" sending "$(($(counter B pkt_forwarded) + 100))"
mapfile -t ids < <(sk B -j show rules | jq '.[].id')
sk B rule del "${ids[@]}"
wait $running || fail "bench ended with $?"
expect "the node dropped them: $(json '.run | "\(.dropped) of \(.lost) that were lost"')" \
	test "$(json '.run | .dropped > 100 and .dropped <= .lost')" = true
same "why" "$(json '.node_drops.drop_rule_unknown > 100')" true

# by reliable links of the same node, which lose nothing and change their keys meanwhile
bench "${ports[@]}" --api "$T/B/run/control.sock" -m reliable -R 2k -d 2s -r 20 -s 64,1300 --rekey 500ms --drain 5s --max-loss 100%
same "all of it on the wire" "$(json '.run.received')" "$(json '.run.sent')"
expect "reliable packets on the wire" test "$(json '.run.received')" -gt 2000
same "strangers on the wire" "$(json '.run.strange + .run.duplicates + .run.reordered')" 0
expect "re-keys of reliable links" test "$(json .keys)" -gt 4
same "rules that it left" "$(sk B -j show rules | jq length)" 0
same "transports that it left" "$(sk B -j show transports | jq length)" 0

# the same node, set up beforehand; it dials, and re-keys each second
"$BIN/skyrail-bench" "${ports[@]}" --key "$T/bench.key" --show-key >"$T/keys"
same "keys" "$(wc -l <"$T/keys")" 2
sk B transport add t0 "peer=$(sed -n 1p "$T/keys")" address=10.1.1.1:7780 mode=datagram
sk B transport add t1 "peer=$(sed -n 2p "$T/keys")" address=10.1.2.1:7781 mode=datagram
sk B rule add intermediary id=1001 next=2001 transport=t1 in=t0 --static
sk B rule add intermediary id=1002 next=2002 transport=t0 in=t1 --static
bench "${ports[@]}" --key "$T/bench.key" --node-key "${PK[B]}" --no-dial -r 2 --in-id 1001 --out-id 2001 -R 1k -d 4s --max-loss 100%
expect "packets over rules of its own" test "$(json '.run.received')" -gt 2000
same "strangers there" "$(json '.run.strange + .run.duplicates')" 0
expect "its re-keys" test "$(json .keys)" -gt 4
same "what the node drops, nobody tells" "$(json '.run.dropped, .node_drops' | tr '\n' ' ')" "null {} "

# as before, but reliable
sk B rule del 1001 1002
sk B transport del t0
sk B transport del t1
sk B transport add t0 "peer=$(sed -n 1p "$T/keys")" address=10.1.1.1:7780
sk B transport add t1 "peer=$(sed -n 2p "$T/keys")" address=10.1.2.1:7781
sk B rule add intermediary id=1003 next=2003 transport=t1 in=t0 --static
sk B rule add intermediary id=1004 next=2004 transport=t0 in=t1 --static
bench "${ports[@]}" --key "$T/bench.key" --node-key "${PK[B]}" --no-dial -m reliable -r 2 --in-id 1003 --out-id 2003 -R 1k -d 2s --drain 5s --max-loss 100%
same "all of it over rules of its own" "$(json '.run.received')" "$(json '.run.sent')"
expect "packets over rules of its own, reliable" test "$(json '.run.received')" -gt 1000
wait_for 5 "books of B" books B
nodes_end B
