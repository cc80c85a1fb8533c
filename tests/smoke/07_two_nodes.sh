#!/bin/bash
# docs/two-nodes.md: its lines as they are pasted, with the blanks before them, in a shell of their own.
. "$(dirname "$0")/_init.sh"

PATH=$(realpath "$BIN"):$PATH
export PATH
grep "^    " docs/two-nodes.md >"$T/lines"
expect "the page has lines" test "$(wc -l <"$T/lines")" -gt 30
bash -e -o pipefail "$T/lines" >"$T/two.log" 2>&1 || {
	cat "$T/two.log" /run/skyrail-two/*/*.log
	fail "they end with an error"
}
expect "three answers" grep -q ' 3 received' "$T/two.log"
expect "transport" grep -q '^b  *up ' "$T/two.log"
expect "edge" grep -q '^sky0  *attached' "$T/two.log"
expect "nothing is left" test ! -e /run/skyrail-two
