#!/usr/bin/env python3
"""sink.py PORT: takes one connection at this machine and prints the SHA-256 of what it brings."""

import hashlib
import socket
import sys

with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    print("listens", flush=True)
    server.settimeout(60)
    conn, _ = server.accept()
    conn.settimeout(60)
    digest = hashlib.sha256()
    while data := conn.recv(1 << 16):
        digest.update(data)
    print(digest.hexdigest())
