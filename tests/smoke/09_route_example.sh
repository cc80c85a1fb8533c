#!/bin/bash
# docs/route-example.md: its lines as they are pasted, with the blanks before them, in a shell of their own.
# Between fences is what they print, of which tables begin with blanks, too.
. "$(dirname "$0")/_init.sh"

PATH=$(realpath "$BIN"):$PATH
export PATH
awk '/^```/ { fence = !fence } !fence && /^    /' docs/route-example.md >"$T/lines"
expect "the page has lines" test "$(wc -l <"$T/lines")" -gt 90
bash -e -o pipefail "$T/lines" >"$T/route.log" 2>&1 || {
	cat "$T/route.log" /run/skyrail-route/*/*.log
	fail "they end with an error"
}
says() { expect "$2" grep -q "$1" "$T/route.log"; }
says '^no way by IP' "nothing but the route leads from a to c"
same "checksums of the file and what came, twice" \
	"$(grep -cE '^[0-9a-f]{64}  (file|got)$' "$T/route.log") $(grep -oE '^[0-9a-f]{64}' "$T/route.log" | uniq | wc -l)" "4 1"
for type in forward intermediary consume; do says "^ *[0-9]* laid  *$type " "a $type rule"; done
says '^ *2 [0-9a-f]* *5 *0 ' "the far end in the trace"
says '^[0-9a-f]* *7 .* initiator open ' "the group at a"
says '^the dialler was cut' "the dialler is told"
says '^the listener was cut' "the listener is told"
# an end hears of it by the Error of the node before the break, or by what became of its rules
same "both ends are cut" "$(grep -cE '^skyrail: stream: cut: (the route has ended|closed by the far end)' "$T/route.log")" 2
says '^[0-9a-f]\{8\} 7 [0-9]*: .*\(rule is gone\|the far end says\): ' "why"
says 'visor does not transit routes' "who refused"
says '^no route' "the dial fails"
expect "nothing is left" test ! -e /run/skyrail-route
same "namespaces" "$(ip netns list)" ""
