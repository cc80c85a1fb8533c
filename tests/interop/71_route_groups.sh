#!/bin/bash
# Route groups between routers in Go, laid by a set-up node in Go over our nodes: one of them by stcp, two of them by stcp and by
# rail in the middle. All that is sent comes back, 100 MiB. Then the control plane in the middle is killed: both ends hear of it,
# the transports are back without a second one, and so is the route.
#
#   [ga] dials --- [N] --- [M] --- [gc] says all again     N also dials gc, and gd that breaks; N - M by stcp and by rail
. "$(dirname "$0")/_init.sh"

peers_net gs gu ga N M gc gd
net_link N n0 10.2.0.1/24 M m0 10.2.0.2/24
go_server gs
go_key gu
go_key ga
go_key gc
go_key gd
node_new N n0
node_new M m0
node_peer N m M 10.2.0.2:7780
node_peer M n N 10.2.0.1:7780
node_conf N controlplane "transport mm" "peer=${PK[M]}" type=stcp "address=${IP[M]}:7777"
node_conf M controlplane "transport nn" "peer=${PK[N]}" type=stcp dial=no
node_conf N controlplane "transport a" "peer=${PK[ga]}" type=stcp dial=no
node_conf N controlplane "transport d" "peer=${PK[gd]}" type=stcp "address=${IP[gd]}:7777"
for n in N M; do
	node_conf $n controlplane "transport c" "peer=${PK[gc]}" type=stcp "address=${IP[gc]}:7777"
	node_conf $n controlplane stcp "listen=${IP[$n]}:7777"
	node_conf $n controlplane "server gs" "key=${SERVER[gs]%@*}" "address=${SERVER[gs]#*@}"
	node_conf $n controlplane "route_setup_node gu" "key=${PK[gu]}"
done
go_start gu setup -server "${SERVER[gs]}"
go_start gc node -gen 2026 -ping 0 -server "${SERVER[gs]}" -listen "${IP[gc]}:7777" -echo 3
go_start gd node -server "${SERVER[gs]}" -listen "${IP[gd]}:7777" -echo 3 -fault drop:20000000
node_start N M
all_up() { [ "$(sk "$1" -j show transports | jq '[.[] | select(.state == "up")] | length')" = "$2" ]; }
wait_for 20 "transports of N" all_up N 4
wait_for 20 "transports of M" all_up M 3
wait_for 20 "N at the server" own_open N 1
wait_for 20 "M at the server" own_open M 1

# group KEY:PORT VIA HOPS IN OUT [OPTION...]
group() {
	go_peer ga rdial -v -stcp "${PK[N]}@${IP[N]}:7777" -server "${SERVER[gs]}" -setup "${PK[gu]}" -via "$2" -hops "$3" \
		"${@:6}" "$1" <"$4" >"$5" 2>"$T/ga.log"
}
head -c 5000000 "$T/file" >"$T/small"
# echo_by WHAT FILE VIA HOPS [OPTION...]
echo_by() {
	say "$1"
	group "${PK[gc]}:3" "$3" "$4" "$2" "$T/copy" -expect "$(stat -c %s "$2")" "${@:5}" ||
		fail "$1: $(tail -n5 "$T/ga.log") $(tail -n5 "$T/gc/out")"
	expect "the same, $1" cmp "$2" "$T/copy"
	say "$1: $(grep 'MB/s' "$T/ga.log")"
	echo "Go, group by stcp | $1 | Go 2026" >>build/interop/matrix
}
echo_by "ours, laid by Go" "$T/file" "${PK[N]}" stcp,stcp
echo_by "ours, 2026 asks for 30 s" "$T/small" "${PK[N]}" stcp,stcp -gen 2026 -pq -keep 30s
echo_by "ours - stcp - ours, laid by Go" "$T/file" "${PK[N]},${PK[M]}" stcp,stcp,stcp -gen 2026
echo_by "ours - rail - ours, laid by Go" "$T/file" "${PK[N]},${PK[M]}" stcp,rail,stcp
no_rules() { [ "$(sk "$1" -j show rules | jq length)" = 0 ]; }
wait_for 10 "no rules at N" no_rules N
wait_for 10 "no rules at M" no_rules M

say "a group that is idle for longer than its rules live"
(sleep 16 && cat "$T/small") | group "${PK[gc]}:3" "${PK[N]}" stcp,stcp /dev/stdin "$T/copy" -expect 5000000 -keep 5s -ping 0 ||
	fail "idle: $(tail -n5 "$T/ga.log")"
expect "the same, idle" cmp "$T/small" "$T/copy"
wait_for 10 "no rules after it" no_rules N

say "no listener"
if group "${PK[gc]}:9" "${PK[N]}" stcp,stcp /dev/null /dev/null; then fail "a group to a port that nobody has"; fi
expect "why" grep -q "no listener on port 9" "$T/ga.log"

say "a transport that breaks in the middle of a stream"
if group "${PK[gd]}:3" "${PK[N]}" stcp,stcp "$T/file" /dev/null -expect $BYTES; then fail "a group lives without its transport"; fi
expect "a reason at the other end" grep -q 'over: [^E]' "$T/ga.log"
say "the reason: $(sed -n 's/.*over: \([^;]*\);.*/\1/p' "$T/ga.log")"
wait_for 10 "the transport again" all_up N 4
group "${PK[gd]}:3" "${PK[N]}" stcp,stcp "$T/small" "$T/copy" -expect 5000000 || fail "after a break: $(tail -n5 "$T/ga.log")"
expect "the same, after a break" cmp "$T/small" "$T/copy"

say "the control plane in the middle is killed"
ups=$(grep -c "transport ${PK[N]} up" "$T/gc/out")
head -c 100G /dev/zero | group "${PK[gc]}:3" "${PK[N]}" stcp,stcp /dev/stdin /dev/null &
client=$!
flows() { [ "$(sk N -j show rules | jq '[.[].packets] | add // 0')" -gt 10000 ]; }
wait_for 20 "a stream" flows
node_kill N.cp KILL || true
if wait $client; then fail "a group lives without its transport"; fi
expect "the dialler's reason" grep -q "over: transport to" "$T/ga.log"
hears_end() { tail -n 3 "$T/gc/out" | grep -q 'echo to .* over'; }
wait_for 10 "the end at the listener" hears_end
cp_start N
wait_for 10 "transports of N" all_up N 4
same "transports to the listener" "$(grep -c "transport ${PK[N]} up" "$T/gc/out")" $((ups + 1))
if grep -q "transport refused" "$T/gc/out"; then fail "a second transport: $(tail -n 3 "$T/gc/out")"; fi
wait_for 20 "N at the server" own_open N 1
echo_by "ours, after a kill" "$T/small" "${PK[N]}" stcp,stcp
logs_clean N M
nodes_end N M
