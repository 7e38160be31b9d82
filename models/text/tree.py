"""The tree of binary decisions that stand for a symbol.

Symbols are byte strings in byte order, so those with a common prefix are a range of ids. A symbol is binarised byte by
byte (binarisation.py). Where a symbol may end although longer ones go on, one more decision says whether it does.
Decisions with only one outcome are left out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmzip.models.text.binarisation import BINARISATIONS, TEXT

_MOST_KNOWN = 8


class Tree(NamedTuple):
    """A node is a decision among the symbols of a range; the first node is the root.

    Slot 0 of a line of counters is for whether the symbol ends. The others are those of the binarisation.
    """

    first: NDArray[np.int32]  # (nodes,) the range first .. end - 1
    middle: NDArray[np.int32]  # (nodes,) symbols from here on go to 1
    end: NDArray[np.int32]  # (nodes,)
    child: NDArray[np.int32]  # (nodes, 2) a node, or ~symbol
    depth: NDArray[np.int32]  # (nodes,) bytes of the symbol that are known
    partial: NDArray[np.int32]  # (nodes,) the node in the binarisation of the next byte; 0: does the symbol end here?
    known: NDArray[np.int32]  # (nodes,) how many decisions of the next byte are made, at most 8
    line: NDArray[np.int32]  # (nodes,) key of the line
    slot: NDArray[np.int32]  # (nodes,) 0 .. 15
    range: NDArray[np.int32]  # (256, 3) by partial: the bytes that a decision parts, see Binarisation.range
    bytes: NDArray[np.uint8]  # (symbols, longest) the bytes of each symbol
    length: NDArray[np.int32]  # (symbols,)


def make_tree(vocabulary: list[bytes], binarisation: int = TEXT) -> Tree:
    """Make the tree of a vocabulary: distinct byte strings, sorted, none empty. binarisation: FLAT or TEXT."""
    of_byte = BINARISATIONS[binarisation]
    children, middles = of_byte.child.tolist(), of_byte.range[:, 1].tolist()
    nodes: list[tuple[int, int, int, int, int]] = []
    child: list[list[int]] = []

    def grow(first: int, end: int, depth: int, partial: int) -> int:
        while end - first > 1:
            if partial == 0:
                middle = first + 1 if len(vocabulary[first]) == depth else first
                below: tuple[tuple[int, int], ...] = ((depth, 0), (depth, 1))
            else:
                ones = [vocabulary[i][depth] >= middles[partial] for i in range(first, end)]
                middle = first + ones.index(True) if True in ones else end
                below = tuple((depth, p) if p else (depth + 1, 0) for p in children[partial])
            if first < middle < end:
                node = len(nodes)
                nodes.append((first, middle, end, depth, partial))
                child.append([0, 0])
                child[node] = [grow(first, middle, *below[0]), grow(middle, end, *below[1])]
                return node
            depth, partial = below[0] if middle == end else below[1]
        return ~first

    grow(0, len(vocabulary), 0, 1)
    first, middle, end, depth, partial = np.array(nodes, np.int32).T.copy()
    known = np.minimum(of_byte.depth, _MOST_KNOWN)[partial]
    length = np.array([len(token) for token in vocabulary], np.int32)
    symbol_bytes = np.zeros((len(vocabulary), length.max()), np.uint8)
    for row, token in zip(symbol_bytes, vocabulary, strict=True):
        row[: len(token)] = list(token)
    return Tree(
        first, middle, end, np.array(child, np.int32), depth, partial, known, of_byte.line[partial],
        of_byte.slot[partial], of_byte.range, symbol_bytes, length,
    )  # fmt: skip
