#!/usr/bin/env python3
"""Sends junk datagrams for a while: random, truncated, nearly right. junk.py ADDRESS PORT SECONDS"""
import os
import random
import socket
import sys
import time

addr, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect((addr, port))
random.seed(1)


def head(kind):
    return bytes([kind, 0, 0, 0])


kinds = (
    lambda: os.urandom(random.randrange(0, 64)),
    lambda: os.urandom(random.randrange(0, 1400)),
    lambda: head(1) + os.urandom(random.choice((0, 16, 132, 212, 400, 1228))),  # inits
    lambda: head(2) + os.urandom(random.choice((0, 16, 132, 212, 400))),  # responses
    lambda: head(3) + os.urandom(60),  # cookies
    lambda: head(4) + os.urandom(random.randrange(0, 1300)),  # data, unknown index
    lambda: head(4) + bytes(random.randrange(0, 300)),
    lambda: bytes([random.randrange(256), 0, 0, 0]) + os.urandom(40),
    lambda: b"",
)
n, end = 0, time.monotonic() + seconds
while time.monotonic() < end:
    for _ in range(100):
        try:
            s.send(random.choice(kinds)())
            n += 1
        except OSError:
            pass
print(f"{n} datagrams of junk")
