"""Draws the tables of docs/benchmarks.md: seconds by the number of hosts, and by the length of the line.

python -m tests.bench.plots docs/benchmarks.md docs/images
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from pathlib import Path

from matplotlib import pyplot

# What is drawn of a contender: points of (hosts or milliseconds, seconds).
Points = dict[str, list[tuple[int, float]]]


def by_hosts(text: str) -> Points:
    """Return the seconds of each contender by the number of hosts that it verified."""
    points: Points = defaultdict(list)
    for count, rows in re.findall(r"^## (\d+) hosts?, \d+ commands on each\n(.*?)(?=^## )", text, re.M | re.S):
        for name, seconds in re.findall(r"^\| (.+?) \| [\d.]+ \| ([\d.]+) \|", rows, re.M):
            points[name].append((int(count), float(seconds)))
    return points


def by_line(text: str) -> Points:
    """Return the seconds of each contender by the milliseconds of a round trip."""
    [chapter] = re.findall(r"^## One host over slow lines\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    lines = [0, *(int(line) for line in re.findall(r"(\d+) ms, s \|", chapter)[1:])]
    points: Points = {}
    for name, rest in re.findall(r"^\| (\w.+?) \| ([\d.| ]+)\|$", chapter, re.M):
        cells = [float(cell) for cell in rest.split("|")]
        points[name] = list(zip(lines, [cells[0], *cells[1::3]], strict=True))
    return points


def draw(points: Points, title: str, across: str, file: Path, *, decades: bool) -> None:
    """Write one drawing; contenders with a single point are left to the table."""
    figure, axes = pyplot.subplots(figsize=(7, 4))
    for name, found in points.items():
        if len(found) > 1:
            axes.plot(*zip(*found, strict=True), marker="o", label=name)
    if decades:
        axes.set(xscale="log", yscale="log")
    else:
        axes.set_ylim(bottom=0)
    axes.set(title=title, xlabel=across, ylabel="seconds")
    ticks = sorted({x for found in points.values() for x, _ in found})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})


def main() -> None:
    """Draw the document named first into the folder named second."""
    text, folder = Path(sys.argv[1]).read_text(encoding="utf-8"), Path(sys.argv[2])
    pyplot.rcParams["svg.hashsalt"] = "medsec"
    draw(by_hosts(text), "Verifying a fleet", "hosts", folder / "bench-hosts.svg", decades=True)
    draw(by_line(text), "Verifying one host", "round trip, ms", folder / "bench-line.svg", decades=False)


if __name__ == "__main__":
    main()
