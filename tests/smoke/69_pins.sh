#!/bin/bash
# A static rule for packets of any transport was pinned by the first one. That transport goes and comes
# again, and so does the control plane: packets still get through.
#
#   [A, forward 101] ---- [B, consume 201, in=any]
. "$(dirname "$0")/_init.sh"

net_add A B
net_link A a0 10.1.1.1/24 B b0 10.1.1.2/24
node_new A a0
node_new B b0
node_peer A b B 10.1.1.2:7780
node_start A B
sk B transport add a "peer=${PK[A]}" address=10.1.1.1:7780
wait_for 20 "transport up" tp_up B a
sk A rule add forward id=101 next=201 transport=b --static
sk A rule add consume id=102 in=b --static
sk B rule add consume id=201 --static
sk A edge add sky0 address=10.9.0.1/24
sk A edge attach sky0 forward=101 consume=102

counts() {
	in_ns A ping -n -q -c 1 -W 0.1 10.9.0.2 >"$T/ping.txt" 2>&1 || true # nobody answers
	[ "$(rule B 201 packets)" -gt 0 ] && [ "$(rule B 201 in_transport)" = a ]
}
again() {
	sk B transport del a
	sk B transport add a "peer=${PK[A]}" address=10.1.1.1:7780
	wait_for 30 "transport up" tp_up B a
}
wait_for 10 "packets" counts
same "pinned" "$(rule B 201 in_transport)" a
say "the transport is made anew"
again
wait_for 10 "packets again" counts
same "pinned again" "$(rule B 201 in_transport)" a

say "it goes while no control plane looks"
node_kill B.cp KILL || true
cp_start B
wait_for 20 "transport adopted" tp_up B a
same "still pinned" "$(rule B 201 in_transport)" a
again
wait_for 10 "packets at last" counts
logs_clean A B
nodes_end A B
