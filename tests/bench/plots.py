#!/usr/bin/env python3
"""Draws the report of the bench as PNG: ratios with their intervals and targets, and curves.

    tests/bench/plots.py build/bench/report.json     writes ratios.png and *.png of curves beside it
"""

import json
import os
import sys

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402 (the backend must be chosen before)

MET, MISSED, PRINTED, INK, GRID = "#2b6cb0", "#c2410c", "#8a8f98", "#222222", "#e3e5e8"
CURVES = {"bbr": ("BBRv3", MET, "o"), "cubic": ("CUBIC", MISSED, "s")}
ZERO_AT = 0.004  # where a logarithmic axis of per cent has its 0

plt.rcParams.update({"font.size": 9, "axes.edgecolor": PRINTED, "text.color": INK,
                     "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK})


def bare(ax, axis):
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.grid(axis=axis, color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)


def save(fig, folder, name):
    path = os.path.join(folder, name)
    fig.savefig(path, dpi=130, bbox_inches="tight")
    plt.close(fig)
    print(path)


def ratios(report, folder):
    rows = [f for f in report["figures"] if f.get("ratio", 0) > 0]
    if not rows:
        return
    fig, ax = plt.subplots(figsize=(9, 1.2 + 0.27 * len(rows)))
    for y, f in enumerate(reversed(rows)):
        target = f.get("target", 0)
        color = PRINTED if not target else MET if f.get("met", True) else MISSED
        lo, hi = f.get("ci", (f["ratio"], f["ratio"]))
        ax.plot([lo, hi], [y, y], color=color, linewidth=4, alpha=0.35, solid_capstyle="butt")
        ax.plot(f["ratio"], y, "o", color=color, markersize=5)
        if target:
            ax.plot([target, target], [y - 0.38, y + 0.38], color=INK, linewidth=1.6)
        ax.annotate(f"{f['ratio']:.2f}", (1.01, y), xycoords=("axes fraction", "data"),
                    va="center", color=color)
    ax.set_yticks(range(len(rows)), [f["name"] for f in reversed(rows)])
    ax.set_ylim(-0.7, len(rows) - 0.3)
    ax.set_xscale("log")
    least = min(min(f["ratio"], f.get("target") or f["ratio"]) for f in rows)
    most = max(max(f["ratio"], f.get("target") or f["ratio"]) for f in rows)
    ticks = [t for t in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)
             if least / 2.6 <= t <= most * 2.6]
    ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
    ax.set_xticks([], minor=True)
    ax.axvline(1, color=PRINTED, linewidth=0.8)
    ax.set_xlabel("ratio to the baseline of the same run (logarithmic)")
    marks = [plt.Line2D([], [], color=c, marker="o", linewidth=4, alpha=0.8, label=t)
             for c, t in ((MET, "target met"), (MISSED, "target missed"), (PRINTED, "no target"))]
    marks.append(plt.Line2D([], [], color=INK, marker="|", linestyle="", markersize=11,
                            markeredgewidth=1.6, label="target"))
    ax.legend(handles=marks, ncol=4, frameon=False, loc="lower left", bbox_to_anchor=(0, 1.0),
              borderaxespad=0.2)
    bare(ax, "x")
    save(fig, folder, "ratios.png")


def goodput(report, folder):
    curves = [c for c in report.get("curves", []) if c["curve"] == "goodput_over_loss"]
    if not curves:
        return
    fig, ax = plt.subplots(figsize=(7, 4.2))
    losses = [x for x, _ in curves[0]["points"]]
    for c in curves:
        label, color, mark = CURVES.get(c["label"], (c["label"], PRINTED, "^"))
        ax.plot([x or ZERO_AT for x, _ in c["points"]], [y for _, y in c["points"]], color=color,
                marker=mark, markersize=5, linewidth=1.8, label=label)
    ax.set_xscale("log")
    ax.set_xticks([x or ZERO_AT for x in losses], [f"{x:g}" for x in losses])
    ax.set_xticks([], minor=True)
    ax.set_ylim(0, 1.08)
    ax.plot([0.7, 1.4], [0.8, 0.8], color=INK, linewidth=1.6)
    ax.annotate("target at 1 %", (0.7, 0.8), xytext=(-5, 0), textcoords="offset points",
                ha="right", va="center", fontsize=8)
    ax.set_xlabel("loss in each direction, per cent (logarithmic, but for 0)")
    ax.set_ylabel("goodput, of the optimum")
    ax.set_title("A reliable link at 100 Mbit/s and 50 ms, simulated", loc="left", fontsize=10)
    ax.legend(frameon=False, loc="upper right")
    bare(ax, "both")
    save(fig, folder, "goodput_over_loss.png")


def pairs(report, folder, name, title, rows, axis, other):
    """Ours and another program's side by side; rows: (figure, words)."""
    found = {f["name"]: f for f in report["figures"] if "baseline" in f and f["value"] > 0}
    rows = [(found[n], words) for n, words in rows if n in found]
    if not rows:
        return
    fig, ax = plt.subplots(figsize=(7.5, 1.3 + 0.62 * len(rows)))
    for y, (f, _) in enumerate(reversed(rows)):
        for dy, v, color in ((0.18, f["value"], MET), (-0.18, f["baseline"], PRINTED)):
            ax.barh(y + dy, v, height=0.34, color=color)
            ax.annotate(f"{v:,.0f}" if v >= 100 else f"{v:.3g}", (v, y + dy), xytext=(4, 0),
                        textcoords="offset points", va="center", fontsize=8)
    ax.set_yticks(range(len(rows)), [words for _, words in reversed(rows)])
    if max(f["value"] for f, _ in rows) > 30 * min(f["baseline"] for f, _ in rows) > 3000:
        ax.set_xscale("log")
        ax.set_xlim(left=min(f["baseline"] for f, _ in rows) / 4)
        axis += " (logarithmic)"
    ax.margins(x=0.18)
    ax.set_xlabel(axis)
    ax.set_title(title, loc="left", fontsize=10, pad=24)
    marks = [plt.Rectangle((0, 0), 1, 1, color=c, label=t) for c, t in ((MET, "skyrail"), (PRINTED, other))]
    ax.legend(handles=marks, ncol=2, frameon=False, loc="lower left", bbox_to_anchor=(0, 1.0),
              borderaxespad=0.2)
    bare(ax, "x")
    save(fig, folder, name)


def programs(report, folder):
    pairs(report, folder, "wireguard_go.png", "A transit node and wireguard-go, by the middle's CPU time",
          [("sealed_vs_wireguard_go_64", "64 bytes, aes-256-gcm"),
           ("sealed_vs_wireguard_go_64_chacha", "64 bytes, chacha20"),
           ("sealed_vs_wireguard_go_1372", "1372 bytes, aes-256-gcm"),
           ("sealed_vs_wireguard_go_1372_chacha", "1372 bytes, chacha20"),
           ("bundled_vs_wireguard_go_64", "64 bytes, bundled by the sender"),
           ("bundled_vs_wireguard_go_1372", "1372 bytes, bundled")],
          "packets forwarded in a CPU second", "wireguard-go")
    pairs(report, folder, "lossy_path.png", "100 Mbit/s, 1 % loss, 50 ms: one TCP connection",
          [("goodput_1pct_50ms_net", "the optimum"), ("goodput_vs_tcp_bbr", "TCP BBR, no link of ours"),
           ("goodput_vs_tcp_cubic", "TCP CUBIC, no link of ours")],
          "Mbit/s that arrived", "what is named at the left")


def ndr(report, folder):
    """Rates without loss, with half a percent, and what a packet waits at shares of the first."""
    found = {f["name"]: f for f in report["figures"] if f.get("value", 0) > 0}
    cases = [(n, n.replace("_", ", ") + " bytes")
             for n in ("clear_64", "clear_1400", "sealed_64", "sealed_1400") if "ndr_" + n in found]
    curves = [c for c in report.get("curves", []) if c["curve"] == "latency_over_load"]
    if not cases:
        return
    fig, (ax, late) = plt.subplots(1, 2, figsize=(11, 3.8))
    for y, (n, _) in enumerate(reversed(cases)):
        for dy, kind, color in ((0.18, "ndr_", MET), (-0.18, "pdr_", PRINTED)):
            v = found.get(kind + n, {"value": 0})["value"] / 1e6
            ax.barh(y + dy, v, height=0.34, color=color)
            ax.annotate(f"{v:.3g}", (v, y + dy), xytext=(4, 0), textcoords="offset points", va="center",
                        fontsize=8)
    ax.set_yticks(range(len(cases)), [words for _, words in reversed(cases)])
    ax.margins(x=0.18)
    ax.set_xlabel("million packets a second, one worker in memory")
    marks = [plt.Rectangle((0, 0), 1, 1, color=c, label=t)
             for c, t in ((MET, "no loss (NDR)"), (PRINTED, "0.5 % loss (PDR)"))]
    ax.legend(handles=marks, ncol=2, frameon=False, loc="lower left", bbox_to_anchor=(0, 1.0),
              borderaxespad=0.2)
    bare(ax, "x")
    colors = {n.split("_")[0] + ", " + n.split("_")[1] + " bytes": c
              for n, c in (("clear_64", MET), ("clear_1400", "#63a4e0"),
                           ("sealed_64", MISSED), ("sealed_1400", "#f0a070"))}
    styles = {"p50": "-", "p90": "--", "p99": ":"}
    for c in curves:
        case, p = c["label"].rsplit(", ", 1)
        late.plot([x for x, _ in c["points"]], [y for _, y in c["points"]], styles.get(p, "-"),
                  color=colors.get(case, PRINTED), marker="o", markersize=3, linewidth=1.5)
    late.set_yscale("log")
    late.set_xlabel("load, per cent of the NDR")
    late.set_ylabel("latency, us (logarithmic)")
    marks = [plt.Line2D([], [], color=c, label=t) for t, c in colors.items()]
    marks += [plt.Line2D([], [], color=INK, linestyle=s, label=p) for p, s in styles.items()]
    late.legend(handles=marks, ncol=2, frameon=False, fontsize=7, loc="lower left",
                bbox_to_anchor=(0, 1.0), borderaxespad=0.2)
    bare(late, "both")
    save(fig, folder, "ndr.png")


def main():
    if len(sys.argv) != 2:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    with open(sys.argv[1], encoding="ascii") as f:
        report = json.load(f)
    folder = os.path.dirname(os.path.abspath(sys.argv[1]))
    ratios(report, folder)
    goodput(report, folder)
    programs(report, folder)
    ndr(report, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
