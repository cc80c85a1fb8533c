#!/bin/bash
# Our clients of the real transport discovery, address resolver and route finder, and a node of ours that is told paths:
# entries that both keys signed are found again by the real route finder.
#
#   [D: services, PostgreSQL, redis] ---- W ---- [N: our node, our clients]
. "$(dirname "$0")/_init.sh" transport-discovery address-resolver route-finder dmsg-discovery redis-server psql

ASK=$SKYRAIL_BIN/tests/interop/ask
[ -x "$ASK" ] || { echo "$ASK is not built: make interop does" >&2 && exit 1; }
real_net D=10 N=101
real_discovery
real_postgres
real_services_stored
for n in a b; do real_key $n; done
node_new N net_null0,no-rx=1
node_conf N controlplane transports "discovery=$TPD" "address_resolver=$RESOLVER"
node_conf N controlplane routing "route_finder=$FINDER"
node_start N

# ask KEY WHAT URL [ARGUMENT...]: by our client
key_of() { case $1 in N) echo "$T/N/node.key" ;; *) echo "$T/$1/key" ;; esac }
ask() { in_ns N "$ASK" "$(key_of "$1")" "$2" "$3" "${@:4}"; }
there() { [ "$(ask "$1" of "$TPD" | wc -w)" = $(($2 + 1)) ]; }

say "entries"
expect "there is none" there N 0
same "posted" "$(ask N post "$TPD" "$T/a/key" stcpr)" 201
same "posted" "$(ask a post "$TPD" "$T/b/key" stcpr)" 201
again=$(ask b post "$TPD" "$T/a/key" stcpr) && fail "an entry twice: $again"
expect "why not: $again" grep -q '^500 500: ' <<<"$again"
same "found" "$(ask b find "$TPD" "$T/a/key" stcpr | wc -w)" 2
expect "both of a" there a 2
none=$(ask N find "$TPD" "$T/b/key" stcpr) || fail "what is not there: $none"
same "none: $none" "$(cut -d' ' -f1 <<<"$none")" 404
same "of the database" "$(get "$TPD/all-transports" | jq length)" 2

say "one after the other, with the nonce of the one before"
ask N post,find,delete,post,find "$TPD" "$T/b/key" dmsg >"$T/answers" || fail "$(cat "$T/answers")"
same "posted, found, removed, posted, found" "$(cut -d' ' -f1 "$T/answers" | xargs)" "201 200 200 201 200 nonces"
same "fetched once: 201 does not count" "$(tail -n1 "$T/answers")" "nonces 1"
same "fetched once: 200 does" "$(ask N find,delete "$TPD" "$T/b/key" dmsg | tail -n1)" "nonces 1"

say "addresses"
no=$(ask N resolve "$RESOLVER" "${PK[N]}") && fail "resolved: $no"
same "not bound: $no" "$(cut -d' ' -f1 <<<"$no")" 404
same "bound" "$(ask N bind "$RESOLVER" 7777 "${ADDR[N]}")" 200
same "bound again" "$(ask N bind "$RESOLVER" 7778 "${ADDR[N]}")" 200
same "where" "$(ask a resolve "$RESOLVER" "${PK[N]}")" "200 ${ADDR[N]}:7778"
same "who" "$(ask a list "$RESOLVER")" "200 ${PK[N]}"
same "unbound" "$(ask N unbind "$RESOLVER")" 200
same "who" "$(ask a list "$RESOLVER")" 200

say "paths"
find_route() { sk N -j route find "${PK[$1]}" "${@:2}" 2>"$T/find.log"; }
hops() { jq -c "[.[] | select(.way == \"$1\") | [.path, .hop, .from, .to]]"; }
find_route b >"$T/paths" || fail "no path: $(cat "$T/find.log")"
same "there" "$(hops there <"$T/paths")" "[[1,1,\"${PK[N]}\",\"${PK[a]}\"],[1,2,\"${PK[a]}\",\"${PK[b]}\"]]"
same "back" "$(hops back <"$T/paths")" "[[1,1,\"${PK[b]}\",\"${PK[a]}\"],[1,2,\"${PK[a]}\",\"${PK[N]}\"]]"
find_route b max-hops=1 >"$T/paths" && fail "a path of one hop: $(cat "$T/paths")"
expect "it says so: $(cat "$T/find.log")" grep -q 'no path of 1 to 1 hops' "$T/find.log"
same "removed" "$(ask a delete "$TPD" "$T/N/node.key" stcpr | cut -d' ' -f1)" 200
expect "one is left" there a 1
find_route b >"$T/paths" && fail "a path by what is gone"
row "our client | real | transport discovery, address resolver, route finder"
logs_clean N
nodes_end N
