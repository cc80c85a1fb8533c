#!/bin/bash
# Our clients of transport discovery, address resolver and route finder against those of a peer in Go: entries that both
# made, a nonce that each takes from the other, addresses, and paths that a node of ours is told.
#
#   [gs: Go server] --- [gx: services in Go] ---- [N: our node, our clients]     keys of others: ga, gb
. "$(dirname "$0")/_init.sh"

ASK=$SKYRAIL_BIN/tests/interop/ask
[ -x "$ASK" ] || { echo "$ASK is not built: make interop does" >&2 && exit 1; }
peers_net gs gx N
go_server gs
go_start gx services -server "${SERVER[gs]}" "${IP[gx]}:9091"
URL=http://${IP[gx]}:9091
for n in ga gb; do go_key $n; done
own_client N gs
node_conf N controlplane transports "discovery=$URL" "address_resolver=dmsg://${PK[gx]}"
node_conf N controlplane routing "route_finder=$URL"
node_start N

# ask KEY WHAT [ARGUMENT...]: by our client
key_of() { case $1 in N) echo "$T/N/node.key" ;; *) echo "$T/$1/key" ;; esac }
ask() { in_ns N "$ASK" "$(key_of "$1")" "$2" "$URL" "${@:3}"; }
there() { [ "$(ask "$1" of | wc -w)" = $(($2 + 1)) ]; }

say "entries of ours, of theirs, and twice"
expect "there is none" there N 0
same "posted" "$(ask N post "$T/ga/key" stcpr)" 201
ID=$(in_ns N "$PEER" register -key "$T/ga/key" "$URL" "$T/gb/key" stcpr) || fail "not registered by Go"
same "found" "$(ask gb find "$T/ga/key" stcpr)" "200 $ID"
again=$(ask gb post "$T/ga/key" stcpr) && fail "an entry twice: $again"
expect "why not" grep -q '^500 500: ERROR: duplicate key' <<<"$again"
expect "both of ga" there ga 2
same "what is not there" "$(ask N find "$T/gb/key" stcpr)" "404 404: transport not found"
stranger=$(ask N delete "$T/gb/key" stcpr) && fail "what is not there was removed: $stranger"

say "one after the other, with the nonce of the one before"
ask N post,find,delete,post,find "$T/gb/key" dmsg >"$T/answers" || fail "$(cat "$T/answers")"
same "posted, found, removed, posted, found" "$(cut -d' ' -f1 "$T/answers" | xargs)" "201 200 200 201 200 nonces"
same "fetched once: 201 does not count" "$(tail -n1 "$T/answers")" "nonces 1"
same "fetched once: 200 does" "$(ask N find,delete "$T/gb/key" dmsg | tail -n1)" "nonces 1"

say "addresses"
no=$(ask N resolve "${PK[N]}") && fail "resolved: $no"
same "not bound" "$no" "404 404: no transport found"
same "bound" "$(ask N bind 7777 192.0.2.9 "${IP[N]}")" 200
same "where" "$(ask ga resolve "${PK[N]}")" "200 ${IP[N]}:7777"
same "who" "$(ask ga list)" "200 ${PK[N]}"
wrong=$(ask N bind 7777 192.0.2.9) && fail "bound by an address of others: $wrong"
same "unbound" "$(ask N unbind)" 200
same "who" "$(ask ga list)" 200

say "paths"
find_route() { sk N -j route find "${PK[$1]}" "${@:2}" 2>"$T/find.log"; }
hops() { jq -c "[.[] | select(.way == \"$1\") | [.path, .hop, .from, .to]]"; }
find_route gb >"$T/paths" || fail "no path: $(cat "$T/find.log")"
same "there" "$(hops there <"$T/paths")" "[[1,1,\"${PK[N]}\",\"${PK[ga]}\"],[1,2,\"${PK[ga]}\",\"${PK[gb]}\"]]"
same "back" "$(hops back <"$T/paths")" "[[1,1,\"${PK[gb]}\",\"${PK[ga]}\"],[1,2,\"${PK[ga]}\",\"${PK[N]}\"]]"
same "by which transport" "$(jq -r '.[1].tp' "$T/paths")" "$ID"
expect "for people" grep -q "^back *1 *2 .*${PK[N]:0:8}" <(sk N route find "${PK[gb]}")
find_route gb max-hops=1 >"$T/paths" && fail "a path of one hop"
expect "the lengths that were asked for" grep -q 'no path of 1 to 1 hops: the route finder says 404: route not found' "$T/find.log"
find_route gb min-hops=3 max-hops=2 >"$T/paths" && fail "limits that cannot be"
expect "of another" find_route ga "from=${PK[gb]}" >"$T/paths"

say "an entry that somebody removed, and a service that ends"
same "removed" "$(ask ga delete "$T/N/node.key" stcpr)" "200"
expect "one is left" there ga 1
find_route gb >"$T/paths" && fail "a path by what is gone"
state() { sk N -j show services | jq -r ".[] | select(.kind == \"$1\") | .$2"; }
same "what it said last" "$(state 'route finder' status)" 404
same "transports" "$(state 'transport discovery' up) $(state 'transport discovery' registered)" "0 0"
node_kill gx KILL || true
find_route gb >"$T/paths" && fail "a path of nobody"
expect "why" grep -q 'route finder: Connection refused' "$T/find.log"
same "why, later" "$(state 'route finder' error)" "Connection refused"
logs_clean N
nodes_end N

say "the same by dmsg"
go_start gx services -server "${SERVER[gs]}" "${IP[gx]}:9091"
sed -i '/^\[routing\]/,/^$/d' "$T/N/controlplane.ini"
node_conf N controlplane routing "route_finder=dmsg://${PK[gx]}"
node_start N
wait_for 10 "a session" own_open N 1
same "posted" "$(ask N post "$T/ga/key" stcpr)" 201
find_route ga >"$T/paths" || fail "no path by dmsg: $(cat "$T/find.log")"
same "there" "$(hops there <"$T/paths")" "[[1,1,\"${PK[N]}\",\"${PK[ga]}\"]]"
nodes_end N
peers_end gx gs
echo "ours asks | services in Go | Go asks" >>build/interop/matrix
