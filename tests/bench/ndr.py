#!/usr/bin/env python3
"""Rates without loss and latencies of a node in memory, as skyrail-bench finds them.

    tests/bench/ndr.py BUILD_DIR [--quick]      JSON lines for tests/bench/run.py

The search is the program's own; here its report is read. On a machine that does other things, too, a rate
without loss says how long the longest disturbance was: it is printed and has no target.
"""

import json
import os
import subprocess
import sys

SIZES = (64, 1400)
QUICK = ["-d", "100ms", "--trials", "1", "--width", "5%", "--warm-up", "100ms", "--drain", "50ms"]


def sealed():
    """The cipher that is quick here."""
    with open("/proc/cpuinfo", encoding="ascii") as f:
        flags = next((line.split() for line in f if line.startswith("flags")), [])
    return "aes-256-gcm" if "aes" in flags and "pclmulqdq" in flags else "chacha20-poly1305"


def say(**figure):
    print(json.dumps(figure), flush=True)


def measure(exe, cipher, size, quick):
    cmd = [exe, "-q", "-j", "-", "-c", cipher, "-s", str(size), "--max-loss", "100%"]
    p = subprocess.run(cmd + (QUICK if quick else []), capture_output=True, text=True, timeout=300)
    try:
        return json.loads(p.stdout)  # 1 is also what it ends with when there is no rate without loss
    except ValueError:
        raise RuntimeError(f"skyrail-bench ended with {p.returncode}: {p.stderr.strip()[-400:]}") from None


def tell(name, words, d):
    for kind in ("ndr", "pdr"):
        bound = d[kind]
        limit = ", generator's" if bound["generator_limited"] else ""
        say(name=f"{kind}_{name}", unit="packets/s" + limit, value=bound["pps"], gbps=bound["gbps"],
            state=bound["state"])
    rows = [r for r in d["latency"] if "latency_us" in r]
    for p in ("p50", "p90", "p99"):
        points = [[r["share_pct"], r["latency_us"][p]] for r in rows]
        if points:
            say(curve="latency_over_load", label=f"{words}, {p}", points=points)
    for r in rows:
        if r["share_pct"] == 50:
            say(name=f"latency_{name}", unit="us, p99 at half the NDR", value=r["latency_us"]["p99"],
                baseline=r["latency_us"]["p50"])


def main():
    if len(sys.argv) < 2:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    exe = os.path.join(sys.argv[1], "release", "skyrail-bench")
    for kind, cipher in (("clear", "none"), ("sealed", sealed())):
        for size in SIZES:
            tell(f"{kind}_{size}", f"{kind}, {size} bytes", measure(exe, cipher, size, "--quick" in sys.argv))
    return 0


if __name__ == "__main__":
    sys.exit(main())
