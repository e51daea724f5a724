"""Draws what a pool recorded: hash rate, shares, and the time between blocks.

    uv run plots.py                                   of the running lab's pool
    uv run plots.py --pool http://127.10.0.5:9090 --format svg --out pictures
    pool ledger export --csv --minutes > minutes.csv
    pool ledger export --csv --blocks > blocks.csv
    uv run plots.py --minutes minutes.csv --blocks blocks.csv
"""

import argparse
import csv
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from math import exp
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import dates
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import lab
from lab import Document, LabError

MINUTE_MS = 60_000
# Further back than the pool looks by itself: to the ledger's first minute.
EVER_MS = 0


@dataclass(frozen=True)
class Minute:
    """What was recorded in one minute."""

    began_ms: int
    accepted: int
    rejected: int
    hashes: float

    @classmethod
    def of(cls, row: Document) -> "Minute":
        return cls(
            began_ms=int(row["minute_ms"]),
            accepted=int(row["accepted"]),
            rejected=int(row["rejected"]),
            hashes=float(row["hashes"]),
        )


def every_minute(minutes: list[Minute]) -> list[Minute]:
    """The same with the minutes in which nothing came, which the pool leaves out."""
    filled: list[Minute] = []
    for minute in minutes:
        while filled and filled[-1].began_ms + MINUTE_MS < minute.began_ms:
            filled.append(Minute(filled[-1].began_ms + MINUTE_MS, 0, 0, 0.0))
        filled.append(minute)
    return filled


def intervals(block_times_ms: list[int]) -> list[float]:
    """Seconds from each block to the next."""
    return [(after - before) / 1000 for before, after in pairwise(sorted(block_times_ms))]


def times(minutes: list[Minute]) -> list[float]:
    """When they began, as the axis wants it."""
    at = [datetime.fromtimestamp(minute.began_ms / 1000, UTC) for minute in minutes]
    return [float(dates.date2num(moment)) for moment in at]  # type: ignore[no-untyped-call]


def clock(axes: Axes) -> None:
    locator = dates.AutoDateLocator()  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    # A lab that is minutes old has several marks a minute: they differ by their seconds.
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def hash_rate(axes: Axes, minutes: list[Minute]) -> None:
    axes.step(times(minutes), [minute.hashes / 60 for minute in minutes], where="post")
    axes.set(title="Hash rate, by accepted shares", ylabel="hashes a second", ylim=(0, None))
    clock(axes)


def shares(axes: Axes, minutes: list[Minute]) -> None:
    accepted = [minute.accepted for minute in minutes]
    width = 1 / 1440
    axes.bar(times(minutes), accepted, width, align="edge", label="accepted")
    rejected = [minute.rejected for minute in minutes]
    axes.bar(times(minutes), rejected, width, accepted, align="edge", label="rejected")
    axes.set(title="Shares of each minute", ylabel="shares")
    clock(axes)
    axes.legend()


def block_intervals(axes: Axes, seconds: list[float]) -> None:
    axes.set(title="Time between blocks", xlabel="seconds", ylabel="blocks")
    if not seconds:
        return
    _, edges, _ = axes.hist(seconds, bins=min(30, len(seconds)), label="seen")
    mean = sum(seconds) / len(seconds)
    if mean > 0:
        # What finding blocks by chance alone would give: a paced miner looks otherwise.
        chance = [
            len(seconds) * (exp(-float(low) / mean) - exp(-float(high) / mean))
            for low, high in pairwise(edges)
        ]
        middle = [(float(low) + float(high)) / 2 for low, high in pairwise(edges)]
        axes.plot(middle, chance, "k--", label=f"chance, mean {mean:.3g} s")
    axes.legend()


def draw(minutes: list[Minute], block_times_ms: list[int]) -> dict[str, Figure]:
    """The pictures, by name."""
    minutes = every_minute(minutes)
    pictures: dict[str, Figure] = {}
    for name in ("hashrate", "shares", "intervals"):
        figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
        if name == "hashrate":
            hash_rate(axes, minutes)
        elif name == "shares":
            shares(axes, minutes)
        else:
            block_intervals(axes, intervals(block_times_ms))
        axes.grid(alpha=0.3)
        pictures[name] = figure
    return pictures


def rows(file: Path) -> list[Document]:
    """Of a file that `pool ledger export --csv` wrote."""
    try:
        with file.open(newline="") as lines:
            return list(csv.DictReader(lines))
    except OSError as error:
        raise LabError(f"cannot read {file}: {error}") from error


def recorded(pool: str) -> tuple[list[Minute], list[int]]:
    """Minutes and times of blocks that the pool at this address tells."""
    minutes = [Minute.of(row) for row in lab.get(f"{pool}/api/v1/minutes?since_ms={EVER_MS}")]
    blocks = [int(row["time_ms"]) for row in lab.items(f"{pool}/api/v1/blocks")]
    return minutes, blocks


def exported(minutes: Path, blocks: Path) -> tuple[list[Minute], list[int]]:
    """The same from files."""
    try:
        return (
            [Minute.of(row) for row in rows(minutes)],
            [int(row["time_ms"]) for row in rows(blocks)],
        )
    except (KeyError, ValueError) as error:
        raise LabError(
            f"{minutes} and {blocks} are not what pool ledger export --csv writes with --minutes "
            f"and --blocks: {error}"
        ) from error


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", default="sv2lab", help="which lab (default: %(default)s)")
    parser.add_argument("--pool", help="address of a pool's HTTP, instead of the lab's")
    parser.add_argument("--minutes", type=Path, help="exported minutes, instead of a pool")
    parser.add_argument("--blocks", type=Path, help="exported blocks, instead of a pool")
    parser.add_argument("--out", type=Path, default=Path(), help="directory of the pictures")
    parser.add_argument("--format", choices=("png", "svg"), default="png")
    arguments = parser.parse_args()
    if (arguments.minutes is None) != (arguments.blocks is None):
        parser.error("--minutes and --blocks go together")
    try:
        if arguments.minutes:
            minutes, blocks = exported(arguments.minutes, arguments.blocks)
        else:
            pool = arguments.pool or lab.of_kind(lab.status(arguments.name), "/api/v1/minutes")
            minutes, blocks = recorded(pool)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 69
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, figure in draw(minutes, blocks).items():
        file = arguments.out / f"{name}.{arguments.format}"
        figure.savefig(file)
        print(file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
