#!/bin/bash
# TCP and UDP as super-packets from edge to edge; an edge without offloads; an edge that restarts.
#
#   sky0 10.9.0.1 [A] a0 ---- b0 [B] b1 ---- c0 [C] 10.9.0.2 sky0
. "$(dirname "$0")/_init.sh"

edge() { sk "$1" -j show edges | jq -r ".[0].$2"; }
far_is() { [ "$(edge "$1" far)" = "$2" ]; }
# above WHAT NODE FIELD THAN
above() { [ "$(edge "$2" "$3")" -gt "$4" ] || fail "$1: $3 of $2's edge is $(edge "$2" "$3"), not above $4"; }

fetch() { # from C to A, over IPv4 and IPv6
	local url
	for url in 'http://10.9.0.2:8080/file' 'http://[fd09::2]:8080/file'; do
		rm -f "$T/copy"
		in_ns A curl -gsf --max-time 60 -o "$T/copy" "$url" || fail "fetching $url"
		expect "same file by $url" cmp "$T/file" "$T/copy"
	done
}
store() { # from A to C
	local sum
	in_ns C timeout 60 python3 -c '
import hashlib, socket
s = socket.create_server(("10.9.0.2", 8090))
c, h = s.accept()[0], hashlib.sha256()
while b := c.recv(1 << 20): h.update(b)
print(h.hexdigest())' >"$T/sum" &
	wait_for 5 "listener" in_ns C sh -c 'ss -lnt | grep -q :8090'
	in_ns A timeout 60 python3 -c '
import socket, sys
socket.create_connection(("10.9.0.2", 8090)).sendall(open(sys.argv[1], "rb").read())' "$T/file"
	wait $!
	sum=$(sha256sum <"$T/file")
	same "checksum of what C got" "$(cat "$T/sum")" "${sum%% *}"
}
# datagrams SIZE: A's kernel gets ten of them at a time (UDP_SEGMENT); C must get each, in order
datagrams() {
	in_ns C timeout 30 python3 -c '
import socket, sys
size, s = int(sys.argv[1]), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
s.bind(("10.9.0.2", 8091))
for i in range(200):
    d = s.recv(65536)
    assert d == bytes([i]) * size, (i, len(d), d[:1])
print("whole")' "$1" >"$T/udp" &
	wait_for 5 "listener" in_ns C sh -c 'ss -lnu | grep -q :8091'
	in_ns A python3 -c '
import socket, sys, time
size, s = int(sys.argv[1]), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(17, 103, size)
for i in range(0, 200, 10):
    s.sendto(b"".join(bytes([k]) * size for k in range(i, i + 10)), ("10.9.0.2", 8091))
    time.sleep(0.01)' "$1"
	wait $! || fail "datagrams of $1 bytes got lost"
	same "datagrams" "$(cat "$T/udp")" whole
}

chain_net 4
chain_nodes
node_start A B C
wait_for 20 "all transports up" chain_up
chain_rules >/dev/null
chain_edges
head -c 8000000 /dev/urandom >"$T/file"
in_ns C python3 -m http.server --bind :: --directory "$T" 8080 >"$T/http.log" 2>&1 &
for n in A C; do wait_for 10 "$n knows its far end" far_is $n super-packets; done
wait_for 5 "web server" in_ns C curl -sfI http://10.9.0.2:8080/file

say "both ends with offloads"
fetch
store
before=$(edge A out_supers)
datagrams 1200
datagrams 200
if in_ns A ethtool -k sky0 | grep -q 'udp-segmentation: on'; then
	above "UDP from A, ten datagrams each" A out_supers $((before + 39))
else
	say "this kernel does not hand over UDP as super-packets"
fi
above "TCP and UDP from A" A out_supers 50
above "TCP from C" C out_supers 50
above "TCP to A" A in_supers 50
for n in A C; do same "cut by $n" "$(edge $n out_cut)" 0; done

say "C's edge without"
sk C edge del sky0
sk C edge add sky0 address=10.9.0.2/24,fd09::2/64 offload=no
sk C edge attach sky0 forward=302 consume=301
wait_for 10 "A knows" far_is A packets
before=$(edge A out_supers)
fetch
store
datagrams 1200
same "super-packets to an edge that takes none" "$(edge A out_supers)" "$before"
above "cut by A" A out_cut 5000
above "joined by A" A in_joined 1000
same "C's edge" "$(edge C offload) $(edge C out_supers) $(edge C in_joined)" "no 0 0"

say "and with them again, and a control plane that dies"
sk C edge del sky0
sk C edge add sky0 address=10.9.0.2/24,fd09::2/64 super-max=20000
sk C edge attach sky0 forward=302 consume=301
wait_for 10 "A knows" far_is A super-packets
node_kill A.cp KILL || true
cp_start A
for n in A C; do wait_for 10 "$n knows its far end" far_is $n super-packets; done
fetch
store
above "TCP from A" A out_supers 20
above "TCP from C" C out_supers 20
for n in A C; do
	same "bad, refused at $n" "$(edge $n out_bad) $(edge $n drop_in_bad) $(edge $n in_refused)" "0 0 0"
done
for n in A B C; do wait_for 5 "books of $n" books $n || books $n; done
logs_clean A B C
nodes_end A B C
