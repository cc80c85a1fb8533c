#!/usr/bin/env python3
"""The client of the bench service of routes ([routing] bench_port), over `skyrail route dial`.

route_bench.py SKYRAIL SOCKET KEY:PORT [dial's OPTION=...] -- sum N | give N | echo N | idle SECONDS ...

Each is done on the same stream, one after another, and checked by BLAKE2b. A line each: what, bytes, Mbit/s.
"""
import hashlib
import subprocess
import sys
import threading
import time

BLOCK = bytes(i * 7 & 0xff for i in range(65536 + 13))


def parts(n):
    """n bytes that are not the same in any two blocks."""
    at = 0
    while n > 0:
        part = (at.to_bytes(8, "big") + BLOCK)[:n]
        yield part
        n -= len(part)
        at += 1


def send(out, n, h):
    for p in parts(n):
        h.update(p)
        out.write(p)
    out.flush()


def receive(inp, n, h):
    while n > 0:
        p = inp.read1(min(n, 1 << 20))
        if not p:
            sys.exit("the stream ended early")
        h.update(p)
        n -= len(p)


def run(p, what, n):
    sent, got = hashlib.blake2b(), hashlib.blake2b()
    p.stdin.write(b"echo\n" if what == "echo" else f"{what} {n}\n".encode())
    p.stdin.flush()
    begin = time.monotonic()
    if what == "echo":
        t = threading.Thread(target=send, args=(p.stdin, n, sent), daemon=True)
        t.start()
        receive(p.stdout, n, got)
        good = sent.hexdigest() == got.hexdigest()
    else:
        if what == "sum":
            send(p.stdin, n, sent)
        else:
            receive(p.stdout, n, sent)
        good = p.stdout.readline().decode() == f"{n} {sent.hexdigest()}\n"
    took = time.monotonic() - begin
    if not good:
        sys.exit(f"{what}: other bytes came than were sent")
    print(f"{what} {n} {n * 8 / took / 1e6:.0f}", flush=True)


def main():
    at = sys.argv.index("--")
    skyrail, socket, to, *options = sys.argv[1:at]
    words = sys.argv[at + 1:]
    p = subprocess.Popen([skyrail, "-s", socket, "route", "dial", to, *options], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE)
    for what, n in zip(words[::2], words[1::2], strict=True):
        if what == "idle":
            time.sleep(int(n))
        else:
            run(p, what, int(n))
    p.stdin.close()
    sys.exit(p.wait())


main()
