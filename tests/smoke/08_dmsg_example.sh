#!/bin/bash
# docs/dmsg-example.md: its lines as they are pasted, with the blanks before them, in a shell of their own.
. "$(dirname "$0")/_init.sh"

PATH=$(realpath "$BIN"):$PATH
export PATH
grep "^    " docs/dmsg-example.md >"$T/lines"
expect "the page has lines" test "$(wc -l <"$T/lines")" -gt 70
bash -e -o pipefail "$T/lines" >"$T/dmsg.log" 2>&1 || {
	cat "$T/dmsg.log" /run/skyrail-dmsg/*/log
	fail "they end with an error"
}
expect "nothing but dmsg leads from a to b" grep -q '^no way by IP' "$T/dmsg.log"
expect "the address" grep -q '^10\.8\.1\.2$' "$T/dmsg.log"
same "checksums of the file and its copy" \
	"$(grep -cE '^[0-9a-f]{64}  (file|copy)$' "$T/dmsg.log") $(grep -oE '^[0-9a-f]{64}' "$T/dmsg.log" | uniq | wc -l)" "2 1"
for kind in dialled relayed accepted; do expect "$kind" grep -q "^$kind  *0[23]" "$T/dmsg.log"; done
same "servers that relay it" "$(grep -c '^relayed' "$T/dmsg.log")" 2
expect "nothing is left" test ! -e /run/skyrail-dmsg
same "namespaces" "$(ip netns list)" ""
