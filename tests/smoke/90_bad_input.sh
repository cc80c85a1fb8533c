#!/bin/bash
# Wrong configuration, missing devices, wrong commands: one line that names the fix, the right exit
# code, and nothing changed.
. "$(dirname "$0")/_init.sh"

net_add A B
net_link A a0 10.1.1.1/24 B b0 10.1.1.2/24

# refused CODE PATTERN COMMAND...: must end with the code and say what the pattern says, in few lines
refused() {
	local code=$1 pattern=$2 rc=0
	shift 2
	timeout 20 "$@" >"$T/out.log" 2>&1 </dev/null || rc=$?
	[ $rc -eq "$code" ] || fail "exit $rc instead of $code: $* ($(tail -n 3 "$T/out.log"))"
	grep -qE -- "$pattern" "$T/out.log" || fail "no '$pattern' from $*: $(tail -n 3 "$T/out.log")"
}
dp_file() {
	printf '[node]\nname = A\nrun_dir = %s\n[eal]\nhugepages = no\n[tables]\nrules = 1024\n' "$T" >"$T/dp.ini"
	printf '%b\n' "$1" >>"$T/dp.ini"
}
cp_file() {
	printf '[node]\nname = A\nrun_dir = %s\nkey_file = %s/node.key\n' "$T" "$T" >"$T/cp.ini"
	printf '%b\n' "$1" >>"$T/cp.ini"
}
dp=(in_ns_a "$BIN/skyrail-dataplane" -- -c "$T/dp.ini")
cp=(in_ns_a "$BIN/skyrail-controlplane" -c "$T/cp.ini")
cat >"$T/in_ns_a" <<'END'
#!/bin/sh
exec ip netns exec A "$@"
END
chmod +x "$T/in_ns_a"
PATH=$T:$PATH

say "data plane: configuration"
dp_file '[port p0]\ndevice = net_null0\ncolour = red'
refused 1 'dp.ini:[0-9]+: .*colour' "${dp[@]}"
dp_file '[port p0]\ndevice = net_null0\nqueues = many'
refused 1 'dp.ini:[0-9]+: .*queues' "${dp[@]}"
dp_file '[port p0]\ndevice = net_null0\nmtu = 70000'
refused 1 'dp.ini:[0-9]+: .*mtu' "${dp[@]}"
dp_file '[port p0]\ndevice = net_null0\n[port p0]\ndevice = net_null1'
refused 1 'dp.ini:[0-9]+: .*p0' "${dp[@]}"
dp_file '[warp]\nspeed = 9'
refused 1 'dp.ini:[0-9]+: .*warp' "${dp[@]}"
dp_file '[port p0]'
refused 1 'device' "${dp[@]}"
printf '[eal]\ncores = 0@0,1@1023\n' >"$T/dp.ini"
refused 1 'dp.ini:2: .*cores.*CPU 1023' "${dp[@]}"
printf '[node]\nname = A\nrun_dir = %s\n[eal]\nextra_args = --bogus\n' "$T" >"$T/dp.ini"
refused 1 'argument that it does not take' "${dp[@]}"
[ "$(wc -l <"$T/out.log")" -lt 10 ] || fail "EAL told its whole usage"
dp_file '[port p0]\ndevice = net_null0\nmtu = 100'
refused 1 'dp.ini:[0-9]+: \[port p0\]: mtu' "${dp[@]}"
printf '[node]\ncontrol_user = nosuch\n' >"$T/dataplane.ini"
refused 1 'dataplane.ini:2: .*no such user' "$BIN/skyrail" config check "$T/dataplane.ini"
expect "no port is told" grep -q 'no \[port NAME\]' "$T/out.log"
say "data plane: devices"
dp_file '[port p0]\ndevice = net_af_packet0,iface=nosuch0'
refused 1 'p0.*nosuch0' "${dp[@]}"
dp_file '[port p0]\ndevice = net_nosuch0'
refused 1 'p0.*net_nosuch0' "${dp[@]}"
dp_file '[port p0]\ndevice = a0'
refused 1 'dp.ini:[0-9]+: .*net_af_packet0,iface=a0' "${dp[@]}"
dp_file '[port p0]\ndevice = nosuch0'
refused 1 'dp.ini:[0-9]+: .*nosuch0.*no device' "${dp[@]}"
dp_file '[port p0]\ndevice = 0000:ff:1f.7'
refused 1 'p0.*0000:ff:1f.7' "${dp[@]}"
refused 2 'NAME=DEVICE, not bad' in_ns_a "$BIN/skyrail-dataplane" -- -p bad
refused 1 'absent.ini: no such file' in_ns_a "$BIN/skyrail-dataplane" -- -c "$T/absent.ini"
refused 2 'usage|help|option' in_ns_a "$BIN/skyrail-dataplane" -- --frobnicate
[ ! -e "$T/dataplane.sock" ] || fail "a data plane that never ran left its socket"

say "control plane: configuration"
PEER=$(node_key "$T/peer.key")
refused 1 'absent.ini: No such file' in_ns_a "$BIN/skyrail-controlplane" -c "$T/absent.ini"
cp_file '[transport x]\npeer = 1234\naddress = 10.1.1.2:7780'
refused 1 'cp.ini:[0-9]+: .*peer' "${cp[@]}"
cp_file "[transport x]\npeer = $(printf '02%064d' 0)\naddress = 10.1.1.2:7780"
refused 1 'peer|key' "${cp[@]}"
cp_file '[node]\nname = twice'
refused 1 'cp.ini:[0-9]+: ' "${cp[@]}"
cp_file '[transport x]\npear = 1234'
refused 1 'cp.ini:[0-9]+: .*pear' "${cp[@]}"
cp_file '[edge e0]\nmtu = 100'
refused 1 'cp.ini:[0-9]+: .*mtu' "${cp[@]}"
cp_file '[rule r]\ntype = teleport'
refused 1 'cp.ini:[0-9]+: .*teleport' "${cp[@]}"
refused 1 'cp.ini:[0-9]+: .*teleport' "$BIN/skyrail" config check -c "$T/cp.ini"
cp_file "[rule r]\ntype = consume\nnext = 2\nid = 1\n[rule s]\ntype = consume\nid = 1\n[link]\ndead = 5s"
refused 1 'cp.ini:7: \[rule r\]: ' "${cp[@]}"
expect "the second mistake" grep -q 'cp.ini:11: .rule s.: ' "$T/out.log"
expect "the third mistake" grep -q 'cp.ini:13: .link.: dead' "$T/out.log"
cp_file '[rule r]\ntype = intermediary\nid = 1\nnext = 2\ntransport = rome'
refused 1 'cp.ini:9: \[rule r\]: no \[transport rome\]' "$BIN/skyrail" config check -c "$T/cp.ini"
cp_file '[link]\ndead = 5s'
refused 1 'cp.ini:6: \[link\]: dead must' "${cp[@]}"
cp_file "[transport x]\npeer = $PEER\naddress = [fe80::1]:7780"
refused 1 'cp.ini:7: .*link-local.*interface' "${cp[@]}"
refused 2 'unknown argument: foo' in_ns_a "$BIN/skyrail-controlplane" foo
printf '[node]\nname = x\n' >"$T/any.ini"
expect "either program's" "$BIN/skyrail" config check "$T/any.ini" >"$T/out.log"
expect "it says so" grep -q 'any.ini: good for skyrail-controlplane: yes, for skyrail-dataplane: yes' "$T/out.log"
printf '[node]\nudp_port = 7790\n' >"$T/any.ini"
expect "the data plane's" "$BIN/skyrail" config check "$T/any.ini" >"$T/out.log" 2>&1
expect "it says which" grep -q 'any.ini: good for skyrail-controlplane: no, for skyrail-dataplane: yes' "$T/out.log"
expect "its keys" grep -q 'skyrail-controlplane: .*any.ini:2: unknown key udp_port in .node.: its keys are name, ' "$T/out.log"
printf '[node]\nnope = x\n' >"$T/any.ini"
refused 1 'skyrail-controlplane: .*any.ini:2: unknown key nope' "$BIN/skyrail" config check "$T/any.ini"
expect "no warning about ports" test "$(grep -c 'port NAME' "$T/out.log")" = 0
printf '[log]\nlevel = deaf\n' >"$T/any.ini"
refused 1 'any.ini:2: key level' "$BIN/skyrail" config check "$T/any.ini"
same "a mistake for both, once" "$(grep -c any.ini:2: "$T/out.log")" 1
refused 2 'which program.s' "$BIN/skyrail" config show -c "$T/any.ini"
refused 1 'nowhere.ini: No such file' "$BIN/skyrail" config show -c "$T/nowhere.ini"
expect "a file is shown" grep -q '^dead = .*; default ' <("$BIN/skyrail" config show -c config/controlplane.ini)
expect "that of the data plane" grep -q '^udp_ports = .*; default ' <("$BIN/skyrail" config show -c config/dataplane.ini 2>&1)
printf '[eel]\nx = 1\n' >"$T/any.ini"
refused 1 'skyrail-dataplane: .*any.ini:1: unknown section .eel.: did you mean eal' "$BIN/skyrail" config check "$T/any.ini"
expect "known sections" grep -q 'skyrail-controlplane: .*unknown section .eel.: known are node, ' "$T/out.log"
printf 'hello\nworld\n' >"$T/any.ini"
refused 1 'any.ini: no configuration of skyrail' "$BIN/skyrail" config check "$T/any.ini"
same "in one line" "$(wc -l <"$T/out.log")" 1
mkdir "$T/alone"
cp "$BIN/skyrail" "$T/alone"
printf '[eal]\nhugepages = no\n' >"$T/any.ini"
refused 3 'any.ini: not checked: skyrail-dataplane is not' env PATH=/usr/bin:/bin "$T/alone/skyrail" config check "$T/any.ini"
printf '[node]\nname = x\n' >"$T/any.ini"
refused 3 'any.ini: not checked: skyrail-controlplane' env PATH=/usr/bin:/bin "$T/alone/skyrail" config check "$T/any.ini"
printf '[node]\nname = x\n' >"$T/any.ini"
same "checked by" "$("$BIN/skyrail" config check --controlplane "$T/any.ini")" "$T/any.ini: good (control plane)"
cp_file ''
"$BIN/skyrail" key gen "$T/node.key" >/dev/null
chmod 644 "$T/node.key"
refused 1 'node.key.*(0?600|others|chmod)' "${cp[@]}"
chmod 600 "$T/node.key"
echo rubbish >"$T/node.key"
refused 1 'node.key' "${cp[@]}"
rm "$T/node.key"

say "CLI without a node"
refused 1 "$T/control.sock" "$BIN/skyrail" -s "$T/control.sock" show node
refused 2 'warp' "$BIN/skyrail" warp
refused 2 '^  transport add NAME' "$BIN/skyrail"
refused 2 'has no port: KEY:PORT' "$BIN/skyrail" dmsg dial abc
refused 2 'sho|usage|help' "$BIN/skyrail" show
refused 2 'colours' "$BIN/skyrail" show colours
refused 2 '.' "$BIN/skyrail" rule add teleport
refused 2 '-a goes with show' "$BIN/skyrail" rule del 7 -a
refused 2 '-w goes with show' "$BIN/skyrail" -w 1 rule del 7

say "CLI against a node"
node_new A a0
node_start A
ask=("$BIN/skyrail" -s "$T/A/run/control.sock")
refused 1 'nosuch' "${ask[@]}" transport del nosuch
refused 1 'nosuch' "${ask[@]}" ping nosuch
refused 1 '77' "${ask[@]}" rule del 77
refused 1 'nosuch' "${ask[@]}" rule add forward id=5 next=6 transport=nosuch
refused 1 'nosuch' "${ask[@]}" edge detach nosuch
"${ask[@]}" rule add consume id=9 --static >/dev/null
refused 1 'rule 9 exists already' "${ask[@]}" rule add consume id=9 --static
refused 1 'another rule has its place' "${ask[@]}" rule add consume id=$((9 + 65536)) --static
"${ask[@]}" transport add x "peer=$(node_key "$T/x.key")"
refused 1 'needs interface' "${ask[@]}" transport add z "peer=$(node_key "$T/z.key")" 'address=[fe80::1]:7780'
"${ask[@]}" transport add z "peer=$(node_key "$T/w.key")" 'address=[fe80::1]:7780' interface=a0
refused 1 'this peer has a rail transport already: x' "${ask[@]}" transport add v "peer=$(node_key "$T/x.key")"
refused 1 "no transport 'nope': see .skyrail show transports" "${ask[@]}" show transports nope
refused 2 'unknown argument .x. .see .skyrail show drops --help' "${ask[@]}" show drops x
expect "OPEN is explained" grep -q '^OPEN: ' <("${ask[@]}" show drops)
refused 1 'own key' "${ask[@]}" transport add y "peer=${PK[A]}" address=10.1.1.2:7780
refused 1 'the name x is taken' "${ask[@]}" transport add x "peer=$(node_key "$T/y.key")" address=10.1.1.2:7780
same "rules" "$(sk A -j show rules | jq length)" 1

say "a second control plane and a second data plane are refused"
refused 1 '.' in_ns_a "$BIN/skyrail-controlplane" -c "$T/A/controlplane.ini"
refused 1 'a data plane serves it already' in_ns_a "$BIN/skyrail-dataplane" -- -c "$T/A/dataplane.ini"
expect "the first ones live" cp_ready A

say "rubbish at the API socket"
for i in 1 2 3 4 5; do
	head -c $((i * i * 1000)) /dev/urandom |
		timeout 3 python3 -c 'import socket,sys
s = socket.socket(socket.AF_UNIX); s.settimeout(1); s.connect(sys.argv[1])
try: s.sendall(sys.stdin.buffer.read()); s.recv(4096)
except OSError: pass' "$T/A/run/control.sock"
done
expect "it lives" cp_ready A
nodes_end A
