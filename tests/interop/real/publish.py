#!/usr/bin/env python3
"""publish.py DISCOVERY KEY_FILE server ADDRESS | client SERVER_KEY...

Keeps the entry of a key in a dmsg discovery, for a program that does not do it itself: posts it anew every
20 s. Signs with arithmetic of its own, slowly and not in constant time: keys of tests only.
"""

import hashlib
import json
import secrets
import sys
import time
import urllib.request

P = 2**256 - 2**32 - 977
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)


def add(a, b):
    if a is None or b is None:
        return a or b
    if a[0] == b[0]:
        if (a[1] + b[1]) % P == 0:
            return None
        slope = 3 * a[0] * a[0] * pow(2 * a[1], -1, P)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def times(k):
    total, power = None, G
    while k:
        if k & 1:
            total = add(total, power)
        power = add(power, power)
        k >>= 1
    return total


def sign(secret, text):
    """R | S | parity of the point, S in the lower half."""
    z = int.from_bytes(hashlib.sha256(text).digest(), "big")
    while True:
        k = secrets.randbelow(N - 1) + 1
        x, y = times(k)
        r, odd = x % N, y & 1
        s = pow(k, -1, N) * (z + r * secret) % N
        if x >= N or not s:
            continue
        if s > N // 2:
            s, odd = N - s, odd ^ 1
        return (r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([odd])).hex()


def main():
    url, key_file, role = sys.argv[1:4]
    with open(key_file, encoding="ascii") as lines:
        secret = int(lines.readline(), 16)
    x, y = times(secret)
    key = f"{2 + (y & 1):02x}{x:064x}"
    sequence = 0
    while True:
        # the signature covers the compact text, its members in this order
        entry = {"version": "0.0.1", "sequence": sequence, "timestamp": time.time_ns(), "static": key}
        if role == "server":
            entry["server"] = {"address": sys.argv[4], "availableSessions": 2048}
        else:
            entry["client"] = {"delegated_servers": sys.argv[4:]}
        entry["signature"] = sign(secret, json.dumps(entry, separators=(",", ":")).encode())
        request = urllib.request.Request(
            url + "/dmsg-discovery/entry/",
            json.dumps(entry).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                print(answer.status, answer.read().decode().strip(), flush=True)
        except OSError as error:
            print(error, flush=True)
        sequence += 1
        time.sleep(20)


main()
