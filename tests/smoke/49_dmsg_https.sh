#!/bin/bash
# A dmsg discovery by https://, whose certificate an authority of ours has signed: server and client are published and
# find each other when ca_file, or the system, names that authority. With any other certificate nothing is asked, and
# `show discoveries` says why.
#
#   [A: client] ---- [S: dmsg server, discovery]
. "$(dirname "$0")/_init.sh"

PORT=9090 URL=https://10.1.1.1:9090

net_add A S
net_link A a0 10.1.1.2/24 S s0 10.1.1.1/24
node_new S s0
node_new A a0

# authority NAME; certificate NAME AUTHORITY HOST [OPTION...]: with its key in one file
authority() {
	openssl req -x509 -newkey rsa:2048 -nodes -subj "/CN=$1" -days 2 -keyout "$T/$1.key" -out "$T/$1.pem" 2>/dev/null
}
certificate() {
	openssl req -newkey rsa:2048 -nodes -subj "/CN=$1" -keyout "$T/$1.key" -out "$T/$1.csr" 2>/dev/null
	openssl x509 -req -in "$T/$1.csr" -CA "$T/$2.pem" -CAkey "$T/$2.key" -CAcreateserial "${@:4}" \
		-extfile <(echo "subjectAltName=IP:$3") 2>/dev/null >"$T/$1.crt"
	cat "$T/$1.crt" "$T/$1.key" >"$T/$1.pem"
}
authority ours
authority other
certificate good ours 10.1.1.1 -days 2
certificate elsewhere ours 10.1.1.9 -days 2
certificate old ours 10.1.1.1 -days -1
certificate foreign other 10.1.1.1 -days 2

# discovery [CERTIFICATE]: in the place of the last one
discovery() {
	[ -z "${PID[disc]:-}" ] || node_kill disc || true
	ip netns exec S python3 tests/support/dmsg_discovery.py 10.1.1.1 $PORT ${1:+"$T/$1.pem"} >"$T/discovery.log" 2>&1 &
	PID[disc]=$!
	wait_for 10 "the discovery" in_ns S curl -sk -m 5 -o /dev/null "http${1:+s}://10.1.1.1:$PORT/"
}
# ca_file NODE FILE
ca_file() { sed -i "/^ca_file/d; s|^run_dir.*|&\nca_file = $2|" "$T/$1/controlplane.ini"; }
site() { sk "$1" -j show discoveries | jq -r "first.$2"; }
listed() { [ "$(site "$1" listed)" = true ]; }
at_server() { sk A -j show servers | jq -e 'first.state == "open"'; }
end() { node_kill "$1.cp" TERM || fail "control plane of $1 ended with $?"; }

SERVER=$(node_key "$T/S/dmsg.key")
node_conf S controlplane dmsg_server "listen=10.1.1.1:8081" "key_file=$T/S/dmsg.key" \
	"public_address=10.1.1.1:8081" "discovery=$URL"
node_conf A controlplane dmsg "discovery=$URL" "sessions=1"
for n in A S; do ca_file $n "$T/ours.pem"; done

say "an authority that is named"
discovery good
node_start S
wait_for 20 "S is published" listed S
node_start A
wait_for 20 "A is published" listed A
wait_for 20 "A has found S" at_server
same "the server that it found" "$(sk A -j show servers | jq -r 'first.pk')" "$SERVER"

# refused WHY: nothing is asked, and A says what is wrong
refused() {
	cp_start A
	failed() { [ "$(site A failed)" -gt 0 ]; }
	wait_for 20 "a failure" failed
	expect "A is not published" test "$(site A listed)" = false
	[[ $(site A error) == *"$1"* ]] || fail "A says: $(site A error)"
	! grep dmsg-discovery "$T/discovery.log" || fail "A has asked"
	expect "the log says it, too" grep -qF "$1" "$T/A/controlplane.log"
	expect "it is counted" counted drop_dir_answers
	end A
}
counted() { sk A -j show counters | jq -e --arg c "$1" 'any(.name == $c and .value > 0)' >/dev/null; }
end A
end S
for wrong in foreign elsewhere old; do
	say "a certificate that is $wrong"
	discovery $wrong
	refused "its certificate is of another host, untrusted or out of date"
done

say "no TLS, and a file that holds no certificates"
discovery ''
refused "no TLS with it"
discovery good
ca_file A "$T/good.key"
refused "authorities can't be read: [node] ca_file"
ca_file A "$T/nowhere.pem"
! "$BIN/skyrail-controlplane" --check-config -c "$T/A/controlplane.ini" 2>"$T/bad.log" || fail "no file is taken"
expect "it is told" grep -q 'ca_file.*nowhere.pem: No such file' "$T/bad.log"

say "whom the system trusts, which counts only when no file is named"
ca_file A ''
refused "its certificate is"
mkdir "$T/system"
cp "$T/other.pem" "$T/system/ca-certificates.crt"
cp "$T/ours.pem" "$T/system/$(openssl x509 -hash -noout -in "$T/ours.pem").0"
mount --bind "$T/system" /etc/ssl/certs
cp_start A
wait_for 20 "A is published" listed A
end A
discovery good
ca_file A "$T/other.pem"
refused "its certificate is"
logs_clean A S
for n in A S; do node_kill $n.dp TERM || fail "data plane of $n ended with $?"; done
