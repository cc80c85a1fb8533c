#!/bin/bash
# docs/dmsg-example.md: its lines, as they stand there, in a shell of their own.
. "$(dirname "$0")/_init.sh"

PATH=$(realpath "$BIN"):$PATH
export PATH
sed -n 's/^    //p' docs/dmsg-example.md >"$T/lines"
expect "the page has lines" test "$(wc -l <"$T/lines")" -gt 40
bash -e -o pipefail "$T/lines" >"$T/dmsg.log" 2>&1 || {
	cat "$T/dmsg.log" /run/skyrail-dmsg/*/log
	fail "they end with an error"
}
expect "the file" grep -q '^the copy is whole' "$T/dmsg.log"
expect "the address" grep -q '^127.0.0.1' "$T/dmsg.log"
for kind in dialled accepted relayed; do expect "$kind" grep -q "^$kind  *0[23]" "$T/dmsg.log"; done
expect "nothing is left" test ! -e /run/skyrail-dmsg
