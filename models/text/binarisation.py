"""Binarisations of a byte: binary trees whose leaves are the bytes in their order.

The ensemble codes a byte as the decisions on the way from the root of such a tree to the byte's leaf. Since the bytes
stay in order, every decision parts a range of them. FLAT asks for the bits of the byte, the highest first. TEXT asks
first what parts the usual bytes of text evenly: it needs five decisions a byte of text instead of eight.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FLAT, TEXT = 0, 1
# The depth of every byte's leaf, a hexadecimal digit each. `lmzip.models.training.binarisation` found those of TEXT.
_DEPTHS = (
    "8" * 256,
    "aaaaaaabb76887aaaaaaaaaaaaaabbbb499abcc999997778889999aaaa8999ab"
    "b899999aa8bba9999aa88aa9bccaabb9946654665477654566554577779aaabb"
    "99abbbccccccbbccccccbccccbccbbccbbccbccccbccccbbabbbbabbabbaaaab"
    "ddc9bbddddddddaa89ddcbbcccddddddbb99bbbbbccccddcdddddddddddddddd",
)
MOST_DECISIONS = 13  # of a byte


class Binarisation(NamedTuple):
    """The nodes of a tree over bytes, numbered level by level from 1, the root; row 0 is none.

    Four levels of decisions keep their counters side by side, in a line of 16 slots.
    """

    range: NDArray[np.int32]  # (256, 3) first byte, first byte on the side of 1, end
    child: NDArray[np.int32]  # (256, 2) 0: a leaf
    depth: NDArray[np.int32]  # (256,) decisions before this one
    line: NDArray[np.int32]  # (256,) the node that its line begins with; 0 for the root's
    slot: NDArray[np.int32]  # (256,) 1 .. 15


class _Node(NamedTuple):
    """A tree over the bytes first .. end - 1; children are None where they are leaves."""

    first: int
    middle: int
    end: int
    children: tuple[_Node | None, _Node | None]


def make_binarisation(depths: Sequence[int]) -> Binarisation:
    """Make the tree whose leaves have these depths, in order. Raises ValueError where there is none."""
    stack: list[tuple[int, int, int, _Node | None]] = []  # depth, first byte, end, node
    for byte, depth in enumerate(depths):
        stack.append((depth, byte, byte + 1, None))
        while len(stack) > 1 and stack[-1][0] == stack[-2][0]:
            below, _, end, ones = stack.pop()
            _, first, middle, zeros = stack.pop()
            stack.append((below - 1, first, end, _Node(first, middle, end, (zeros, ones))))
    if len(depths) != 256 or len(stack) != 1 or stack[0][0] != 0:
        raise ValueError("no tree over the bytes has these depths")
    made = Binarisation(*(np.zeros((256, *rest), np.int32) for rest in ((3,), (2,), (), (), ())))
    root = stack[0][3]
    assert root is not None
    queue = deque([(root, 0, 0, 1)])
    number = 0
    while queue:
        node, depth, line, slot = queue.popleft()
        number += 1
        if depth and depth % 4 == 0:
            line, slot = number, 1
        made.range[number], made.depth[number] = node[:3], depth
        made.line[number], made.slot[number] = line, slot
        for bit, child in enumerate(node.children):
            if child is not None:
                made.child[number, bit] = number + len(queue) + 1
                queue.append((child, depth + 1, line, 2 * slot + bit))
    return made


BINARISATIONS = tuple(make_binarisation([int(depth, 16) for depth in depths]) for depths in _DEPTHS)


def choose_binarisation(data: bytes) -> int:
    """Return FLAT or TEXT: the one that makes the fewest decisions of data."""
    counts = np.bincount(np.frombuffer(data, np.uint8), minlength=256)
    needed = [int(np.dot(counts, [int(depth, 16) for depth in depths])) for depths in _DEPTHS]
    return needed.index(min(needed))
