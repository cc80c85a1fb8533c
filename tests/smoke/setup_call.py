#!/usr/bin/env python3
"""Calls of net/rpc as a set-up node or an initiator makes them, over a dmsg stream of a node of ours.

setup_call.py SKYRAIL SOCKET KEY:PORT CALL...: the calls one after another on one stream, an answer a line.

    reserve N                              "ids A B ..."
    rules KEY NEXT TP KEEP, ...            of the middle; TP: id of a transport, KEEP in seconds
    edge SRC DST FORWARD NEXT TP CONSUME KEEP   the rules of a responder
    del ID...
    dial TYPES KEEP KEY...                 at a set-up node: a route by these keys and back; types of the
                                           transports of each hop: rail,stcp, or rail,stcp/stcp,rail there/back
    half N                                 the first half of a reserve, and nothing more
    raw HEX                                bytes that are no call; the next line is the end

$0, $1 ... are the ids that were reserved last. Answers: "ids ...", "true", "edge", "error TEXT", "end".
"""
import hashlib
import subprocess
import sys

DEFS = {
    "request": bytes.fromhex("2fff81030101075265717565737401ff82000102010d536572766963654d6574686f64010c00"
                             "01035365710106000000"),
    "rules": bytes.fromhex("0cff97020102ff9800010a0000"),
    "ids": bytes.fromhex("0cff95020102ff960001060000"),
    "edge": bytes.fromhex("39ff91030101094564676552756c657301ff9200010301044465736301ff86000107466f7277617264"
                          "010a00010752657665727365010a000000"
                          "20ff850101010f526f75746544657363726970746f7201ff8600010601ff8c0000"),
    "route": b"\x52\xff\x83\x03\x01\x01\x12BidirectionalRoute\x01\xff\x84\x00\x01\x04\x01\x04Desc\x01\xff\x86\x00"
             b"\x01\x09KeepAlive\x01\x04\x00\x01\x07Forward\x01\xff\x8e\x00\x01\x07Reverse\x01\xff\x8e\x00\x00\x00"
             b"\x20\xff\x85\x01\x01\x01\x0fRouteDescriptor\x01\xff\x86\x00\x01\x06\x01\xff\x8c\x00\x00"
             b"\x1c\xff\x8d\x02\x01\x01\x0d[]routing.Hop\x01\xff\x8e\x00\x01\xff\x88\x00\x00"
             b"\x2d\xff\x87\x03\x01\x01\x03Hop\x01\xff\x88\x00\x01\x03\x01\x04TpID\x01\xff\x8a\x00\x01\x04From\x01\xff\x8c"
             b"\x00\x01\x02To\x01\xff\x8c\x00\x00\x00"
             b"\x10\xff\x89\x06\x01\x01\x04UUID\x01\xff\x8a\x00\x00\x00"
             b"\x12\xff\x8b\x06\x01\x01\x06PubKey\x01\xff\x8c\x00\x00\x00",
}


def uint(v):
    if v < 128:
        return bytes([v])
    b = v.to_bytes((v.bit_length() + 7) // 8, "big")
    return bytes([256 - len(b)]) + b


def sint(v):
    return uint(v << 1 if v >= 0 else (~v << 1) | 1)


def span(b):
    return uint(len(b)) + b


def octets(b):
    return uint(len(b)) + b"".join(uint(x) for x in b)


def transport(a, b, kind):
    low, high = sorted((a, b))
    h = bytearray(hashlib.sha256(bytes(16) + low + high + kind.encode()).digest()[:16])
    h[6] &= 0x0F
    h[8] = h[8] & 0x3F | 0x80
    return bytes(h)


def rule(kind, keep, key, desc=b"", next_id=None, tp=None):
    r = (int(keep) * 10**9).to_bytes(8, "big") + bytes([kind]) + int(key).to_bytes(4, "big") + desc
    if next_id is not None:
        r += int(next_id).to_bytes(4, "big") + bytes.fromhex(tp.replace("-", "")) + bytes(17)
    return r


def describe(src, dst, src_port=50000, dst_port=3):
    return src + dst + src_port.to_bytes(2, "big") + dst_port.to_bytes(2, "big")


class Stream:
    def __init__(self, skyrail, socket, to):
        self.p = subprocess.Popen([skyrail, "-s", socket, "dmsg", "dial", to], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE)
        self.seq, self.known, self.ids, self.buf = 0, set(), [], b""

    def send(self, b):
        self.p.stdin.write(b)
        self.p.stdin.flush()

    def read(self, n):
        while len(self.buf) < n:
            b = self.p.stdout.read1(65536)
            if not b:
                raise EOFError
            self.buf += b
        b, self.buf = self.buf[:n], self.buf[n:]
        return b

    def read_uint(self):
        n = self.read(1)[0]
        return n if n < 128 else int.from_bytes(self.read(256 - n), "big")

    def message(self):
        """The next value: its type and what follows; descriptors are passed over."""
        while True:
            m = Cursor(self.read(self.read_uint()))
            kind = m.sint()
            if kind > 0:
                return kind, m

    def call(self, method, defs, value):
        head = sint(65) + b"\x01" + span(method.encode()) + (b"\x01" + uint(self.seq) if self.seq else b"") + b"\x00"
        out = b"" if "request" in self.known else DEFS["request"]
        out += span(head)
        if defs and defs not in self.known:
            out += DEFS[defs]
        self.known |= {"request", defs}
        self.seq += 1
        self.send(out + span(value))

    def answer(self):
        _, head = self.message()
        error, at = "", 0
        while (step := head.uint()) != 0:
            at += step
            if at == 2:
                head.uint()
            else:
                text = head.span()
                error = text.decode() if at == 3 else error
        kind, body = self.message()
        if error:
            return "error " + error
        if kind == 1:
            return "true" if body.b[-1] else "false"
        if body.uint() != 0:  # a struct
            return "edge"
        self.ids = [body.uint() for _ in range(body.uint())]
        return "ids " + " ".join(map(str, self.ids))


class Cursor:
    def __init__(self, b):
        self.b, self.at = b, 0

    def uint(self):
        n = self.b[self.at]
        self.at += 1
        if n < 128:
            return n
        self.at += 256 - n
        return int.from_bytes(self.b[self.at - 256 + n:self.at], "big")

    def sint(self):
        v = self.uint()
        return ~(v >> 1) if v & 1 else v >> 1

    def span(self):
        n = self.uint()
        self.at += n
        return self.b[self.at - n:self.at]


def hops(keys, kinds):
    return uint(len(keys) - 1) + b"".join(
        b"\x01" + span(transport(a, b, kind)) + b"\x01" + span(a) + b"\x01" + span(b) + b"\x00"
        for a, b, kind in zip(keys[:-1], keys[1:], kinds, strict=True))


def speak(s, call):
    for i, known in reversed(list(enumerate(s.ids))):
        call = call.replace(f"${i}", str(known))
    word, _, rest = call.partition(" ")
    a = rest.split()
    if word == "reserve":
        s.call("RPCGateway.ReserveIDs", None, sint(3) + b"\x00" + uint(int(a[0])))
    elif word == "rules":
        rules = [rule(2, keep, key, b"", next_id, tp) for key, next_id, tp, keep in
                 (r.split() for r in rest.split(","))]
        s.call("RPCGateway.AddIntermediaryRules", "rules",
               sint(76) + b"\x00" + uint(len(rules)) + b"".join(map(span, rules)))
    elif word == "edge":
        src, dst, key, next_id, tp, consume, keep = a
        there, back = (describe(bytes.fromhex(src), bytes.fromhex(dst)),
                       describe(bytes.fromhex(dst), bytes.fromhex(src), 3, 50000))
        s.call("RPCGateway.AddEdgeRules", "edge",
               sint(73) + b"\x01" + octets(there) + b"\x01" + span(rule(1, keep, key, back, next_id, tp)) + b"\x01" +
               span(rule(0, keep, consume, there)) + b"\x00")
    elif word == "del":
        s.call("RPCGateway.DelRules", "ids", sint(75) + b"\x00" + uint(len(a)) + b"".join(uint(int(i)) for i in a))
    elif word == "dial":
        keys = [bytes.fromhex(k) for k in a[2:]]
        there, _, back = a[0].partition("/")
        there = there.split(",")
        back = back.split(",") if back else there[::-1]
        s.call("SetupRPCGateway.DialRouteGroup", "route",
               sint(66) + b"\x01" + octets(describe(keys[0], keys[-1])) + b"\x01" + sint(int(a[1]) * 10**9) + b"\x01" +
               hops(keys, there) + b"\x01" + hops(keys[::-1], back) + b"\x00")
    elif word == "half":
        s.send(DEFS["request"][:20])
    elif word == "raw":
        s.send(bytes.fromhex(a[0]))
    else:
        sys.exit(f"unknown call {word}")


def main():
    s = Stream(*sys.argv[1:4])
    for call in sys.argv[4:]:
        try:
            speak(s, call)
            print(s.answer(), flush=True)
        except (EOFError, BrokenPipeError):
            print("end", flush=True)
            break
    s.p.kill()


main()
