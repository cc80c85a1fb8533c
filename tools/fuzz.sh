#!/bin/bash
# Runs fuzz targets.
#
#   tools/fuzz.sh replay PROFILE TARGET...  feeds each target its corpus; the inputs are counted
#   tools/fuzz.sh run SECONDS TARGET...     libFuzzer for that long each; a crash is kept as
#                                           BUILD/fuzz/crash-NAME-*; add it to the corpus as regress-*
set -u
mode=$1 arg=$2
shift 2
build=${BUILD:-build}
mkdir -p "$build/logs" "$build/fuzz"
passed=0 failed=0
for bin in "$@"; do
	name=$(basename "$bin")
	name=${name#fuzz_}
	corpus=tests/fuzz/corpus/$name
	log=$build/logs/fuzz-$name.log
	n=$(find "$corpus" -type f 2>/dev/null | wc -l)
	if [ "$n" -eq 0 ]; then
		echo "  FAILED  fuzz $name: no corpus in $corpus"
		failed=$((failed + 1))
		continue
	fi
	if [ "$mode" = replay ]; then
		timeout -k 5 300 "$bin" "$corpus"/* >"$log" 2>&1
		rc=$?
		what="$n inputs"
	else
		# What the fuzzer finds goes to a scratch corpus: the committed one stays small.
		scratch=$build/fuzz/corpus/$name
		mkdir -p "$scratch"
		timeout -k 5 $((arg + 60)) "$bin" -max_total_time="$arg" -timeout=10 -rss_limit_mb=1024 \
			-print_final_stats=1 -artifact_prefix="$build/fuzz/crash-$name-" \
			"$scratch" "$corpus" >"$log" 2>&1
		rc=$?
		what="$(sed -n 's/^stat::number_of_executed_units: *//p' "$log") runs in $arg s"
		n=1
	fi
	if [ $rc -eq 0 ]; then
		echo "  ok      fuzz $name ($what)"
		passed=$((passed + n))
	else
		echo "  FAILED  fuzz $name (exit $rc)"
		tail -n 40 "$log" | sed 's/^/    /'
		failed=$((failed + 1))
	fi
done
[ "$mode" = replay ] && mode="corpora ($arg)" || mode=fuzz
echo "  $mode: $passed passed, $failed failed, 0 skipped"
[ -n "${TOTALS:-}" ] && echo "$passed $failed 0" >>"$TOTALS"
[ $failed -eq 0 ]
