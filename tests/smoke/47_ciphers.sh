#!/bin/bash
# What two nodes seal with: the cipher that is fast at both ends when both say auto, else the one that is
# left; each with traffic through it and with a change of keys that keeps it.
#
#   [A] ---- [B] ---- [C]     A-B: auto at both ends; B-C: C may use ChaCha20 only, then AES-256-GCM only
. "$(dirname "$0")/_init.sh"

# what the data plane of a node has, the quickest first
ciphers() { sk "$1" -j show node | jq -r .ciphers; }
agreed() { [ "$(tp "$1" "$2" cipher)" = "$3" ] && tp_up "$1" "$2"; }
rekeyed() { [ "$(tp A b rekeys)" -ge 2 ]; }

chain_net 4
chain_nodes
sed -i '/^\[transport b\]/a cipher = chacha20-poly1305' "$T/C/controlplane.ini"
for n in A B C; do node_conf $n controlplane link rekey=2s; done
node_start A B C
wait_for 20 "all transports up" chain_up
say "A: $(ciphers A) by $(sk A -j show node | jq -r .aead); $(grep -o 'ciphers, .*' "$T/A/dataplane.log")"
expect "--version names them" grep -q "ciphers $(ciphers A) by" <("$BIN/skyrail" -s "$T/A/run/control.sock" --version)

best=$(ciphers A | cut -d' ' -f1)
if [ "$best" = aes-256-gcm ] && ! grep -qw aes /proc/cpuinfo; then fail "AES without a CPU for it"; fi
if [ "$best" != aes-256-gcm ] && grep -qw vaes /proc/cpuinfo; then fail "a CPU with VAES, but $best"; fi
same "A-B at A" "$(tp A b cipher)" "$best"
same "A-B at B" "$(tp B a cipher)" "$best"
same "B-C at B" "$(tp B c cipher)" chacha20-poly1305
same "B-C at C" "$(tp C b cipher)" chacha20-poly1305

chain_rules >/dev/null
chain_edges
expect "ping" chain_ping
in_ns C python3 -m http.server --bind 10.9.0.2 --directory "$T" 8080 >"$T/http.log" 2>&1 &
head -c 3000000 /dev/urandom >"$T/file"
wait_for 5 "web server" in_ns C curl -sfI http://10.9.0.2:8080/file
in_ns A curl -sf --max-time 60 -o "$T/copy" http://10.9.0.2:8080/file
expect "same file" cmp "$T/file" "$T/copy"
wait_for 15 "keys of A-B changed" rekeyed
same "A-B after it" "$(tp A b cipher) $(tp B a cipher)" "$best $best"
expect "ping after it" chain_ping
for t in "A b" "B a" "B c" "C b"; do
	read -r n name <<<"$t"
	same "failed tags on $name of $n" "$(tp "$n" "$name" bad_tag)" 0
done

# one library only: the other ends notice nothing but another instance
node_conf A dataplane crypto backend=sodium
node_kill A.dp KILL || true
dp_start A
wait_for 20 "A-B up again" agreed A b "$(ciphers A | cut -d' ' -f1)"
same "library of A" "$(sk A -j show node | jq -r .aead)" libsodium
wait_for 10 "ping with another library" chain_ping

# one end insists by the command line: the other, on auto, goes along
if [[ " $(ciphers B) " == *" aes-256-gcm "* ]]; then
	sk C transport del b
	sk C transport add b peer="${PK[B]}" address="$IP_BC:7780" cipher=aes-256-gcm
	wait_for 20 "C-B with AES" agreed C b aes-256-gcm
	same "B-C at B" "$(tp B c cipher)" aes-256-gcm
fi
for n in A B C; do wait_for 5 "books of $n" books $n; done
nodes_end A B C
