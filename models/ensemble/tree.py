"""The binary decisions that spell a symbol.

Symbols are byte strings in byte order, so those with a common prefix are a range of ids. A
symbol is spelled bit by bit, and where it may end although longer ones go on, a decision says
whether it does. Decisions with one outcome only are left out: the tokens of English take some 18 each.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Tree(NamedTuple):
    """A node is a decision among the symbols of a range; the first node is the root.

    The decisions of half a byte keep their counters side by side, in a line of 16 slots: slot 0
    says whether the symbol ends, 1 to 15 are the nodes of the nibble.
    """

    first: NDArray[np.int32]  # (nodes,) the range first .. end - 1
    middle: NDArray[np.int32]  # (nodes,) symbols from here on go to 1
    end: NDArray[np.int32]  # (nodes,)
    child: NDArray[np.int32]  # (nodes, 2) a node, or ~symbol
    depth: NDArray[np.int32]  # (nodes,) bytes of the symbol that are known
    partial: NDArray[np.int32]  # (nodes,) the known bits of the next byte behind a 1; 0: does the symbol end here?
    known: NDArray[np.int32]  # (nodes,) how many bits of the next byte are known
    line: NDArray[np.int32]  # (nodes,) key of the line: 0, or 16 + the first nibble
    slot: NDArray[np.int32]  # (nodes,) 0 .. 15
    spelling: NDArray[np.uint8]  # (symbols, longest)
    length: NDArray[np.int32]  # (symbols,)


def make_tree(vocabulary: list[bytes]) -> Tree:
    """Make the tree of a vocabulary: distinct byte strings, sorted, none empty."""
    nodes: list[tuple[int, int, int, int, int]] = []
    child: list[list[int]] = []

    def grow(first: int, end: int, depth: int, partial: int) -> int:
        while end - first > 1:
            if partial == 0:
                middle = first + 1 if len(vocabulary[first]) == depth else first
                below: tuple[tuple[int, int], ...] = ((depth, 0), (depth, 1))
            else:
                bit = 8 - partial.bit_length()
                ones = [vocabulary[i][depth] >> bit & 1 for i in range(first, end)]
                middle = first + ones.index(1) if 1 in ones else end
                zero, one = partial << 1, partial << 1 | 1
                below = tuple((depth, p) if p < 256 else (depth + 1, 0) for p in (zero, one))
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
    known = np.array([max(p.bit_length() - 1, 0) for p in partial.tolist()], np.int32)
    line = np.where(known < 4, 0, partial >> np.maximum(known - 4, 0)).astype(np.int32)
    slot = np.where(known < 4, partial, partial & (1 << (known & 3)) - 1 | 1 << (known & 3)).astype(np.int32)
    length = np.array([len(token) for token in vocabulary], np.int32)
    spelling = np.zeros((len(vocabulary), length.max()), np.uint8)
    for row, token in zip(spelling, vocabulary, strict=True):
        row[: len(token)] = list(token)
    return Tree(first, middle, end, np.array(child, np.int32), depth, partial, known, line, slot, spelling, length)
