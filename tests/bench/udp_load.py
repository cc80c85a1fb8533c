#!/usr/bin/env python3
"""Plain UDP datagrams, as a program sends them, and how many of them arrive.

    tests/bench/udp_load.py send ADDRESS SIZE SECONDS BUNDLE
    tests/bench/udp_load.py sink ADDRESS SIZE

send: as fast as it goes, BUNDLE datagrams a system call (more than 1: UDP GSO); prints how many.
sink: until two seconds pass without any; prints how many came.
"""

import socket
import sys
import time

PORT = 9000
UDP_SEGMENT, UDP_GRO, SO_RCVBUFFORCE = 103, 104, 33
MOST = 64000  # bytes in one system call


def send(address, size, seconds, bundle):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.connect((address, PORT))
    bundle = min(bundle, MOST // size)
    if bundle > 1:
        s.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, size)
    data, n, end = bytes(size * bundle), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in range(32):
            try:
                s.send(data)
                n += bundle
            except OSError:  # its queue is full, or nobody listens yet
                time.sleep(0.0005)
    return n


def sink(address, size):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
    s.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    s.bind((address, PORT))
    print("ready", flush=True)
    s.settimeout(60)
    room, n = bytearray(65536), 0
    try:
        while True:
            n += s.recv_into(room)
            s.settimeout(2)
    except socket.timeout:
        return n // size


def main():
    if sys.argv[1:2] == ["send"] and len(sys.argv) == 6:
        print(send(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])))
    elif sys.argv[1:2] == ["sink"] and len(sys.argv) == 4:
        print(sink(sys.argv[2], int(sys.argv[3])))
    else:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
