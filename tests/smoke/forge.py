#!/usr/bin/env python3
"""Sends inits with a right mac1 from forged addresses, until SIGTERM or time is over.

forge.py ADDRESS PORT PUBLIC_KEY SECONDS [RATE]
"""
import hashlib
import os
import random
import signal
import socket
import struct
import sys
import time

addr, port, key, seconds = sys.argv[1], int(sys.argv[2]), bytes.fromhex(sys.argv[3]), float(sys.argv[4])
rate = float(sys.argv[5]) if len(sys.argv) > 5 else 20000
v6 = ":" in addr
mac1_key = hashlib.blake2b(b"rail1 mac1" + key, digest_size=32).digest()
random.seed(2)


def init():
    body = struct.pack(">II", 1 << 24, random.getrandbits(32)) + b"\x02" + os.urandom(32 + 49 + 180)
    return body + hashlib.blake2b(body, key=mac1_key, digest_size=16).digest() + bytes(16)


def datagram(payload):
    udp = struct.pack(">HHHH", random.randrange(1024, 65536), port, 8 + len(payload), 0x5a5a if v6 else 0) + payload
    if v6:
        source = b"\x20\x01\x0d\xb8" + random.getrandbits(96).to_bytes(12, "big")
        head = struct.pack(">IHBB", 6 << 28, len(udp), 17, 64) + source + socket.inet_pton(socket.AF_INET6, addr)
    else:
        source = bytes((random.randrange(11, 120),)) + random.getrandbits(24).to_bytes(3, "big")
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + source + socket.inet_aton(addr)
    return head + udp


s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
inits = [init() for _ in range(64)]
n, start = 0, time.monotonic()
stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
while not stop and time.monotonic() < start + seconds:
    for _ in range(100):
        try:
            s.sendto(datagram(random.choice(inits)), (addr, 0))
            n += 1
        except OSError:
            pass
    time.sleep(max(0, n / rate - (time.monotonic() - start)))
print(f"{n} forged inits")
