#!/usr/bin/env python3
"""Runs every bench with its baselines in the same run, prints one table and writes the report.

    tests/bench/run.py BUILD_DIR [--quick] [--only NAME[,NAME]]

Figures come as JSON lines from the bench programs (in-process, alternating pairs) and from chains of real
nodes in network namespaces (tests/bench/chain.sh). The report is BUILD/bench/report.json. Hugepages are
reserved for the run and given back; tests/bench/plots.py draws the report. Exit 1 when a figure missed its target.
"""

import argparse
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

HUGEPAGES = 900  # of 2 MiB: 4 M rules (256 MiB), the rte_hash of the same size, mbufs
PATH_HUGE = "/proc/sys/vm/nr_hugepages"


def sh(cmd, **kw):
    return subprocess.run(cmd, shell=isinstance(cmd, str), text=True, capture_output=True, **kw)


def reserve_hugepages():
    """Returns what was there before, or None when it could not be changed."""
    try:
        with open(PATH_HUGE, encoding="ascii") as f:
            before = int(f.read())
        if before < HUGEPAGES:
            with open(PATH_HUGE, "w", encoding="ascii") as f:
                f.write(str(HUGEPAGES))
        with open(PATH_HUGE, encoding="ascii") as f:
            got = int(f.read())
        if got < HUGEPAGES:
            print(f"bench: only {got} of {HUGEPAGES} hugepages: figures with 4 KiB pages are lower")
        return before
    except OSError as e:
        print(f"bench: no hugepages ({e.strerror}): figures with 4 KiB pages are lower")
        return None


def machine():
    model = "?"
    with open("/proc/cpuinfo", encoding="ascii") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "dpdk": sh("pkg-config --modversion libdpdk").stdout.strip(),
        "load_before": os.getloadavg()[0],
    }


def lines_of(cmd, timeout, take, env=None):
    """Gives each line of its output to take(). One that hangs, or is left behind, ends with all that it began."""

    def end():
        try:
            os.killpg(p.pid, signal.SIGTERM)
            time.sleep(2)
            os.killpg(p.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # nothing is left

    with tempfile.TemporaryFile("w+") as errors:
        p = subprocess.Popen(cmd, stdout=subprocess.PIPE, stderr=errors, text=True, env=env,
                             start_new_session=True)
        hung = threading.Event()
        late = threading.Timer(timeout, lambda: (hung.set(), end()))
        late.start()
        try:
            for line in p.stdout:
                take(line)
            rc = p.wait()
        finally:
            late.cancel()
            if p.poll() is None:
                end()
        errors.seek(0)
        return rc, errors.read() + (f" (ended after {timeout} s)" if hung.is_set() else "")


class Report:
    def __init__(self):
        self.figures = []
        self.stages = []
        self.curves = []

    def take(self, line):
        try:
            d = json.loads(line)
        except ValueError:
            if line.strip():
                print("  " + line.rstrip())
            return
        if "stages" in d:
            self.stages.append(d)
            return
        if "curve" in d:
            self.curves.append(d)
            print("  {}, {}: ".format(d["curve"], d["label"])
                  + "  ".join(f"{x:g}: {y:.3f}" for x, y in d["points"]), flush=True)
            return
        self.figures.append(d)
        print("  " + row(d), flush=True)

    def run(self, title, cmd, timeout=3600, env=None):
        print(f"{title}", flush=True)
        start = time.time()
        try:
            rc, err = lines_of(cmd, timeout, self.take, env)
        except OSError as e:
            rc, err = 1, str(e)
        if rc != 0:
            print(f"  FAILED ({rc}) after {time.time() - start:.0f} s: {err.strip()[-800:]}")
            self.figures.append({"name": title, "unit": "", "value": 0, "met": False, "failed": True})


def number(v):
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(v) >= limit:
            return f"{v / {'G': 1e9, 'M': 1e6, 'k': 1e3}[unit]:.2f} {unit}"
    return f"{v:.3g}"


def row(d):
    ratio = f"{d['ratio']:.3f}" if "ratio" in d else ""
    ci = "[{:.3f}, {:.3f}]".format(*d["ci"]) if "ci" in d else ""
    target = f"{d['target']:g}" if d.get("target") else ""
    met = "" if "met" not in d else ("yes" if d["met"] else "NO")
    return (
        f"{d['name']:<32} {number(d['value']):>10} {d['unit']:<26.26}"
        f" {number(d['baseline']) if 'baseline' in d else '':>10} {ratio:>7} {ci:<16} {target:>7} {met}"
    )


def testpmd(report, seconds):
    """DPDK's own forwarder on the same kind of devices, as a yardstick."""
    exe = sh("command -v dpdk-testpmd").stdout.strip()
    if not exe:
        print("  dpdk-testpmd is not installed: its figure is left out")
        return
    mem = ["--in-memory", "-m", "256"] if free_hugepages() > 140 else ["--no-huge", "-m", "256"]
    cmd = [exe, "--no-pci", "--file-prefix=skyrail-bench-pmd", "--log-level=3", "-l", "0,1", *mem,
           "--vdev", "net_null0,size=64,copy=1", "--vdev", "net_null1,size=64,copy=1", "--",
           "--forward-mode=5tswap", "--stats-period=1", "--nb-cores=1", "--auto-start"]
    p = subprocess.Popen(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        out, _ = p.communicate(timeout=seconds + 2)
    except subprocess.TimeoutExpired:
        p.send_signal(signal.SIGINT)  # with periodic statistics it ends by nothing else
        out, _ = p.communicate(timeout=20)
    rates = [int(x) for x in re.findall(r"Tx-pps:\s+(\d+)", out)]
    sums = sorted(a + b for a, b in zip(rates[0::2], rates[1::2]) if a + b > 0)
    if sums:
        report.take(json.dumps({
            "name": "testpmd_5tswap", "unit": "packets/s (null devices)", "value": sums[len(sums) // 2],
            "min": sums[0], "max": sums[-1]}))


def plots(path):
    """The Python that was found first need not be the one that Debian's matplotlib is for."""
    here = os.path.dirname(os.path.abspath(__file__))
    for exe in (sys.executable, "/usr/bin/python3"):
        if sh([exe, "-c", "import matplotlib"]).returncode == 0:
            p = sh([exe, os.path.join(here, "plots.py"), path])
            if p.returncode != 0:
                print("plots failed: " + p.stderr.strip()[-400:])
            return p.stdout.split()
    print("matplotlib is not installed: plots are left out")
    return []


def free_hugepages():
    with open("/proc/meminfo", encoding="ascii") as f:
        return int(re.search(r"HugePages_Free:\s+(\d+)", f.read()).group(1))


def go_peer(build):
    """The Go peer of the interop tests, made if need be; "" if it can't be."""
    peer = os.path.abspath(os.path.join(build, "interop", "peer"))
    if not os.path.exists(peer):
        sh(["make", "-s", os.path.join(build, "interop", "peer")])
    return peer if os.path.exists(peer) else ""


def xk_baseline(build):
    """Handshakes on flynn/noise and decred's secp256k1, as Skywire's programs do them."""
    peer = go_peer(build)
    print("XK handshakes, baseline: " + ("the Go peer of tests/interop" if peer else "none"))
    return dict(os.environ, BENCH_XK_BASELINE=f"exec '{peer}' xk 100" if peer else "")


def dmsg_baseline(here, build):
    """The server that ours is measured against: what the environment says, else a deployment's own (SKYWIRE_BIN), else
    that of the Go peers of the interop tests, else none."""
    command = os.environ.get("BENCH_DMSG_BASELINE", "")
    folder = os.environ.get("SKYWIRE_BIN", "")
    who = "as BENCH_DMSG_BASELINE says"
    if not command and folder and os.access(os.path.join(folder, "dmsg-server"), os.X_OK):
        command = f"exec '{here}/dmsg_server.py' '{os.path.abspath(folder)}'"
        who = "Skywire's dmsg-server"
    elif not command:
        peer = go_peer(build)
        if peer:
            command = f"exec '{peer}' server -key /dev/fd/3 \"$DMSG_ADDRESS\" 3<<E\n$DMSG_SK\nE\n"
            who = "the Go peer of tests/interop; SKYWIRE_BIN names no folder with dmsg-server"
    print("dmsg server, baseline: " + (who if command else "none"))
    return dict(os.environ, BENCH_DMSG_BASELINE=command)


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("build")
    ap.add_argument("--quick", action="store_true", help="fewer pairs: for trying things out")
    ap.add_argument("--only", default="",
                    help="path,workers,carriers,rel,ndr,sim,flood,dmsg,dmsg_relay,ctl,chain,restart,xdp,lossy,wireguard,setup,transit,group,testpmd")
    args = ap.parse_args()
    only = set(filter(None, args.only.split(",")))
    here = os.path.dirname(os.path.abspath(__file__))
    rel = os.path.join(args.build, "release")
    want = lambda part: not only or part in only

    # ended from outside: give the hugepages back all the same
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    report = Report()
    info = machine()
    before = reserve_hugepages()
    try:
        for part, title in (("path", "packet path"), ("workers", "several workers"), ("carriers", "several carriers"),
                            ("rel", "reliable transports"), ("sim", "reliable links, simulated"), ("flood", "floods")):
            if want(part):
                report.run(title, [os.path.join(rel, f"tests/bench/bench_{part}")]
                           + (["--quick"] if args.quick else []))
        if want("dmsg"):
            report.run("dmsg", [os.path.join(rel, "tests/bench/bench_dmsg")]
                       + (["--quick"] if args.quick else []), env=xk_baseline(args.build))
        if want("dmsg_relay"):
            report.run("dmsg server", [os.path.join(rel, "tests/bench/bench_dmsg_relay")]
                       + (["--quick"] if args.quick else []), env=dmsg_baseline(here, args.build))
        if want("ndr"):
            report.run("rates without loss, by skyrail-bench", [os.path.join(here, "ndr.py"), args.build]
                       + (["--quick"] if args.quick else []))
        if want("testpmd"):
            print("yardstick")
            testpmd(report, 2 if args.quick else 5)
        for part in ("ctl", "chain", "restart", "xdp"):
            if want(part):
                report.run({"ctl": "control plane", "chain": "real nodes",
                            "restart": "restarts", "xdp": "real nodes by AF_XDP"}[part],
                           [os.path.join(here, "chain.sh"), args.build, part]
                           + (["--quick"] if args.quick else []))
        for part, title in (("lossy", "loss and delay, against the kernel's TCP"),
                            ("wireguard", "against wireguard-go"), ("setup", "set-up node, against one in Go"),
                            ("transit", "transit by stcp and by rail, against a visor, or a router in Go"),
                            ("group", "streams through route groups, against those in Go")):
            if want(part):
                report.run(title, [os.path.join(here, part + ".sh"), args.build]
                           + (["--quick"] if args.quick else []))
    finally:
        if before is not None:
            with open(PATH_HUGE, "w", encoding="ascii") as f:
                f.write(str(before))

    commit = sh("git describe --always --dirty").stdout.strip()
    os.makedirs(os.path.join(args.build, "bench"), exist_ok=True)
    path = os.path.join(args.build, "bench", "report.json")
    with open(path, "w", encoding="ascii") as f:
        json.dump({"machine": info, "commit": commit, "time": int(time.time()),
                   "figures": report.figures, "stages": report.stages,
                   "curves": report.curves}, f, indent=1)

    print(f"\n{'figure':<32} {'value':>10} {'unit':<26} {'baseline':>10} {'ratio':>7} {'95 % interval':<16}"
          f" {'target':>7} met")
    for d in report.figures:
        print(row(d))
    for s in report.stages:
        print(f"\nwhere the time goes, {s['stages']} ({s['samples']} samples):")
        for name, share in s["share"].items():
            print(f"  {share * 100:5.1f} %  {name}")
    for name in plots(path):
        print(f"plot: {name}")
    missed = [d["name"] for d in report.figures if d.get("met") is False]
    print(f"\n{info['cpu']}, {info['cores']} cores, {commit}; report: {path}")
    print("all targets met" if not missed else "targets missed: " + ", ".join(missed))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
