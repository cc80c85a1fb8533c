#!/bin/bash
# Installs the packages of packaging/debian-12.deps that are missing, and only those.
# Prints nothing when all are there. Without root it says which are missing, and how to get them.
set -eu
cd "$(dirname "$0")/.."

missing=()
arch=$(dpkg --print-architecture 2>/dev/null || true)
while read -r kind package only; do
	case $kind in build | test) ;; *) continue ;; esac
	[ -z "$only" ] || [ "$only" = "$arch" ] || continue
	dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
		missing+=("$package")
done <packaging/debian-12.deps
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
	echo "deps: not a Debian system; needed are the counterparts of: ${missing[*]}" >&2
	exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "deps: missing packages; run: sudo apt-get install --no-install-recommends ${missing[*]}" >&2
	exit 1
fi
echo "deps: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
install() {
	apt-get install -y -q --no-install-recommends "${missing[@]}" >"$log" 2>&1
}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The package lists may be old or absent: fetch them only when the first try fails.
install || { apt-get update -q >"$log" 2>&1 && install; } || {
	tail -n 20 "$log" >&2
	echo "deps: apt-get failed; see above" >&2
	exit 1
}
