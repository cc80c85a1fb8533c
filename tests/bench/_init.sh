# Common ground of the benches of whole programs: rounds, figures as JSON lines, CPU time. Sourced after
# tests/support/net.sh, in the namespaces of net_isolate; the last argument may be --quick.
# shellcheck shell=bash

[ -d "${T:-}" ] || net_temp # who sourced tests/smoke/_init.sh has one
# shellcheck disable=SC2034 # of net.sh
NODE_LOG=notice

bench_end() {
	local rc=$? log
	trap - EXIT ERR
	if [ $rc -ne 0 ]; then
		for log in "$T"/*/*.log "$T"/*.log; do
			[ -s "$log" ] && echo "---- ${log#"$T"/}" && tail -n 10 "$log"
		done >&2
	fi
	rm -rf "$T"
	exit $rc
}
trap bench_end EXIT
trap 'echo "${0##*/}: line $LINENO: $BASH_COMMAND" >&2' ERR

# shellcheck disable=SC2034 # of the scripts
rounds=5 secs=3 pings=3000
if [ "${QUICK:-}" = --quick ]; then
	# shellcheck disable=SC2034
	rounds=1 secs=2 pings=300
fi

# figure NAME UNIT VALUES [BASELINES [TARGET]]: medians of words; ratio of the medians, least and greatest of
# pairs; a target is of the ratio
figure() {
	jq -cn --arg name "$1" --arg unit "$2" --arg v "$3" --arg b "${4:-}" --arg target "${5:-}" '
		def words: [splits(" +") | select(. != "") | tonumber];
		def median: sort | .[length / 2 | floor];
		($v | words) as $v | ($b | words) as $b |
		{name: $name, unit: $unit, value: ($v | median), min: ($v | min), max: ($v | max)} +
		if ($b | length) > 0 then
			{baseline: ($b | median), ratio: (($v | median) / ($b | median)), min: ([$v, $b] | transpose | map(.[0] / .[1]) | min),
			 max: ([$v, $b] | transpose | map(.[0] / .[1]) | max)}
		else {} end +
		if $target != "" then {target: ($target | tonumber)} else {} end |
		if .target != null then . + {met: (.ratio >= .target)} else . end'
}

# tcp NS ADDRESS [IPERF ARGUMENTS...]: Gbit/s received
tcp() { in_ns "$1" iperf3 -c "$2" -t $secs -O 0.5 -J "${@:3}" | jq '.end.sum_received.bits_per_second / 1e9'; }

# cpu_ns PID...: CPU time of all their threads so far. It has the soft interrupts in it that ran on top of
# them, and so what the kernel does on a veth for the one who sends.
cpu_ns() {
	local pid t=0 ns f
	for pid in "$@"; do
		for f in /proc/"$pid"/task/*/schedstat; do
			read -r ns _ <"$f"
			t=$((t + ns))
		done
	done
	echo $t
}
