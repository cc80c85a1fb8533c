#!/usr/bin/env python3
"""Configures a wireguard-go by its socket, so that nothing but its program is needed.

    tests/bench/wg_conf.py genkey                          a secret key in hex
    tests/bench/wg_conf.py pubkey KEY                      its public key
    tests/bench/wg_conf.py set IFACE KEY=VALUE...          in the words of WireGuard's cross-platform interface
"""

import os
import socket
import sys

P = 2**255 - 19


def pubkey(key):
    """X25519 with the base point (RFC 7748, 5)."""
    k = int.from_bytes(bytes.fromhex(key), "little")
    k = k & ~(7 | 1 << 255) | 1 << 254
    x2, z2, x3, z3, swap = 1, 0, 9, 1, 0
    for t in range(254, -1, -1):
        bit = k >> t & 1
        if swap ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        da, cb, aa, bb = d * a, c * b, a * a, b * b
        x3, z3 = (da + cb) ** 2 % P, 9 * (da - cb) ** 2 % P
        e = aa - bb
        x2, z2 = aa * bb % P, e * (aa + 121665 * e) % P
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little").hex()


def apply(iface, words):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(f"/run/wireguard/{iface}.sock")
        s.sendall(("set=1\n" + "\n".join(words) + "\n\n").encode())
        answer = s.recv(4096).decode()
    if "errno=0\n" not in answer:
        sys.exit(f"wg_conf.py: {iface}: {answer.strip()}")


def main():
    what, rest = sys.argv[1:2], sys.argv[2:]
    if what == ["genkey"] and not rest:
        print(os.urandom(32).hex())
    elif what == ["pubkey"] and len(rest) == 1:
        print(pubkey(rest[0]))
    elif what == ["set"] and len(rest) > 1:
        apply(rest[0], rest[1:])
    else:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
