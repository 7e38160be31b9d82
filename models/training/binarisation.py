"""Find the binarisation of text: `python -m lmzip.models.training.binarisation CORPORA`.

Prints the depths of the 256 bytes in the alphabetic tree with the smallest mean depth (Knuth 1971, "Optimum binary
search trees"), as `models/text/binarisation.py` has them.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from lmzip.models.training.pack import WEIGHTS

EACH = 3_000_000  # bytes of a file
LEAST = 2.0**-13  # share that every byte has at least: bounds the depth


def byte_shares(corpora: Path) -> NDArray[np.float64]:
    """Return the shares (256,) of the bytes in the mixture that networks are trained on."""
    total = np.zeros(256)
    for domain, weight in WEIGHTS.items():
        shares = np.zeros(256)
        for path in sorted((corpora / domain).glob("*.txt")):
            data = np.fromfile(path, np.uint8, EACH)
            shares += np.bincount(data, minlength=256) / len(data)
        total += weight * shares / shares.sum()
    return total


def best_depths(weights: NDArray[np.float64]) -> list[int]:
    """Return the depth of every leaf, in order, of the binary tree with the smallest weighted depth."""
    count = len(weights)
    before = np.concatenate(([0], np.cumsum(weights)))
    cost = np.zeros((count + 1, count + 1))
    split = np.zeros((count + 1, count + 1), int)
    for first in range(count):
        split[first, first + 1] = first
    for size in range(2, count + 1):
        for first in range(count - size + 1):
            end = first + size
            # The best split lies between those of the two ranges that are one smaller.
            least = max(split[first, end - 1], first + 1)
            middles = range(least, max(least, min(split[first + 1, end], end - 1)) + 1)
            costs = [cost[first, middle] + cost[middle, end] for middle in middles]
            best = int(np.argmin(costs))
            cost[first, end], split[first, end] = costs[best] + before[end] - before[first], middles[best]
    depths = [0] * count

    def descend(first: int, end: int, depth: int) -> None:
        if end - first == 1:
            depths[first] = depth
        else:
            descend(first, split[first, end], depth + 1)
            descend(split[first, end], end, depth + 1)

    descend(0, count, 0)
    return depths


@click.command()
@click.argument("corpora", type=click.Path(path_type=Path, exists=True))
def main(corpora: Path) -> None:
    """Print the depths for CORPORA/<domain>/*.txt."""
    shares = byte_shares(corpora)
    depths = best_depths(shares + LEAST)
    click.echo("".join(np.base_repr(depth, 16) for depth in depths).lower())
    click.echo(f"mean depth {np.dot(shares, depths):.3f}, at most {max(depths)}")


if __name__ == "__main__":
    main()
