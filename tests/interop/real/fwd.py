#!/usr/bin/env python3
"""Visors' forwarded web servers (`skywire-cli fwd`, `rev`), spoken over a route of a node of ours.

fwd.py SKYRAIL SOCKET get KEY PORT BYTES [dial's OPTION=...]  the first bytes of what a visor has there: their SHA-256
fwd.py SKYRAIL SOCKET serve FILE [BYTES]                      to the first who comes, any port: the first bytes of a file
                                                              for each question
Further words of get: hold keeps the stream open until it ends, and says so.
"""

import hashlib
import json
import subprocess
import sys

FORWARDING = 47
SKYRAIL, SOCKET, WHAT = sys.argv[1:4]


def stream(*words):
    return subprocess.Popen([SKYRAIL, "-s", SOCKET, "route", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def say(p, data):
    p.stdin.write(data)
    p.stdin.flush()


def until(p, mark, got=b""):
    while mark not in got:
        more = p.stdout.read1(1 << 16)
        if not more:
            sys.exit(f"the stream ended early: {got!r}")
        got += more
    head, _, rest = got.partition(mark)
    return head + mark, rest


def get(key, port, size, options):
    hold = "hold" in options
    p = stream("dial", f"{key}:{FORWARDING}", *(o for o in options if o != "hold"))
    say(p, json.dumps({"port": int(port)}).encode())
    answer, rest = until(p, b"}")
    if json.loads(answer).get("error"):
        sys.exit(answer.decode())
    say(p, f"GET /{size} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head, data = until(p, b"\r\n\r\n", rest)
    if b" 200 " not in head:
        sys.exit(head.decode())
    while len(data) < int(size):
        more = p.stdout.read1(1 << 16)
        if not more:
            sys.exit("the stream ended early")
        data += more
    print(hashlib.sha256(data).hexdigest(), flush=True)
    if hold:
        p.stdout.read()
        print("over", flush=True)
    p.stdin.close()
    return 0 if p.wait() == 0 or hold else 1


def serve(file, size):
    with open(file, "rb") as f:
        body = f.read(int(size))
    p = stream("listen", str(FORWARDING))
    asked, rest = until(p, b"}")
    print(asked.decode(), flush=True)
    say(p, b"{}")
    try:
        while True:
            head, rest = until(p, b"\r\n\r\n", rest)
            print(head.decode().splitlines()[0], flush=True)
            say(p, f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    except BrokenPipeError:
        pass


if WHAT == "get":
    sys.exit(get(*sys.argv[4:7], sys.argv[7:]))
serve(*sys.argv[4:6])
