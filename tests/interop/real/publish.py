#!/usr/bin/env python3
"""publish.py DISCOVERY KEY_FILE server ADDRESS | client SERVER_KEY...

Keeps the entry of a key in a dmsg discovery, for a program that does not do it itself: posts it anew every
20 s.
"""

import json
import os
import sys
import time
import urllib.request

sys.path.append(os.path.join(os.path.dirname(__file__), "../../support"))
import secp256k1


def main():
    url, key_file, role = sys.argv[1:4]
    with open(key_file, encoding="ascii") as lines:
        secret = int(lines.readline(), 16)
    key = secp256k1.public(secret)
    sequence = 0
    while True:
        # the signature covers the compact text, its members in this order
        entry = {"version": "0.0.1", "sequence": sequence, "timestamp": time.time_ns(), "static": key}
        if role == "server":
            entry["server"] = {"address": sys.argv[4], "availableSessions": 2048}
        else:
            entry["client"] = {"delegated_servers": sys.argv[4:]}
        entry["signature"] = secp256k1.sign(secret, json.dumps(entry, separators=(",", ":")).encode())
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
