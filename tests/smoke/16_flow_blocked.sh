#!/bin/bash
# A firewall lets one UDP port of a transport through no more: the transport is dead, says which port
# it is, and comes back by itself when it is open again. It does not come up while it is shut.
#
#   [A] a0 -x-- b0 [B]
. "$(dirname "$0")/_init.sh"

# shut PORT, or open
shut() {
	in_ns W nft -f - <<-END
		table netdev shut {
			chain a { type filter hook ingress device "wa0" priority 0; udp dport $1 counter drop; }
			chain b { type filter hook ingress device "wb0" priority 0; udp dport $1 counter drop; }
		}
	END
}
open() { in_ns W nft delete table netdev shut; }

net_add A B W
net_wire A a0 10.1.1.1/24 B b0 10.1.1.2/24
node_new A a0
node_new B b0
node_peer A b B 10.1.1.2:7780 flows=3
node_peer B a A flows=3
for n in A B; do node_conf $n controlplane link keepalive=1s dead=3s; done
node_start A B
both_up() { tp_up A b && tp_up B a; }
wait_for 20 "transport up" both_up
same "flows" "$(tp A b flows)" 3

dead() { [ "$(tp "$1" "$2" state)" != up ] && tp "$1" "$2" note | grep -q "flow 2.*7781"; }
states() { sk "$1" -j show flows | jq -c '[.[] | .state]'; }
shut 7781
wait_for 15 "A misses flow 2" dead A b
wait_for 15 "B misses flow 2" dead B a
say "A says: $(tp A b note)"
same "flows of B" "$(states B)" '["up","silent","up"]'
open
wait_for 60 "transport up again" both_up
same "flows of A" "$(states A)" '["up","up","up"]'
same "flows of B" "$(states B)" '["up","up","up"]'

# what was lost meanwhile is no other link: same instance, no flow began anew
same "packets dropped as replays" "$(counter A drop_replay) $(counter B drop_replay)" "0 0"

# shut from the beginning
shut 7782
node_kill B.dp KILL || true
dp_start B
not_whole() { [ "$(tp B a state)" != up ] && tp B a note | grep -q "flow 3.*7782"; }
wait_for 60 "B misses flow 3" not_whole
open
wait_for 60 "transport up at last" both_up
for n in A B; do wait_for 5 "books of $n" books "$n"; done
nodes_end A B
