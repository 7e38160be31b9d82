"""The binarisations of a byte."""

from __future__ import annotations

import numpy as np
import pytest

from lmzip.models.text.binarisation import (
    BINARISATIONS,
    FLAT,
    MOST_DECISIONS,
    TEXT,
    Binarisation,
    choose_binarisation,
    make_binarisation,
)
from lmzip.models.text.tree import make_tree
from lmzip.models.training.binarisation import best_depths


def path(binarisation: Binarisation, byte: int) -> list[int]:
    """Return the nodes on the way to a byte."""
    node, nodes = 1, []
    while node:
        first, middle, end = binarisation.range[node]
        assert first < middle < end and first <= byte < end
        assert binarisation.depth[node] == len(nodes)
        nodes.append(node)
        node = binarisation.child[node, int(byte >= middle)]
    return nodes


@pytest.mark.parametrize("binarisation", BINARISATIONS)
def test_every_byte_has_its_own_way(binarisation: Binarisation) -> None:
    ways = [path(binarisation, byte) for byte in range(256)]
    assert max(map(len, ways)) <= MOST_DECISIONS
    assert {node for way in ways for node in way} == set(range(1, 256))
    places = {(binarisation.line[node], binarisation.slot[node]) for node in range(1, 256)}
    assert len(places) == 255 and all(1 <= slot < 16 for _, slot in places)


def test_the_flat_shape_is_the_bits_of_a_byte() -> None:
    for byte in range(256):
        assert path(BINARISATIONS[FLAT], byte) == [(byte | 256) >> 8 - known for known in range(8)]


def test_text_needs_fewer_decisions() -> None:
    text = b"It is a truth universally acknowledged, that a single man in possession of a good fortune"
    assert choose_binarisation(text) == TEXT and choose_binarisation(bytes(range(256))) == FLAT
    assert sum(len(path(BINARISATIONS[TEXT], byte)) for byte in text) < 5 * len(text)


def test_depths_that_are_no_tree() -> None:
    for depths in ([8] * 255, [8] * 255 + [7], [9] * 256, [0]):
        with pytest.raises(ValueError, match="no tree"):
            make_binarisation(depths)


def test_the_best_depths_are_a_tree_and_cannot_be_bettered_by_a_swap() -> None:
    weights = np.random.default_rng(1).random(256) ** 4 + 1e-6
    depths = best_depths(weights)
    binarisation = make_binarisation(depths)
    assert [len(path(binarisation, byte)) for byte in range(256)] == depths
    entropy = -np.sum(weights / weights.sum() * np.log2(weights / weights.sum()))
    assert entropy <= np.dot(weights, depths) / weights.sum() < entropy + 2  # as every best alphabetic code


def test_best_depths_of_few_weights() -> None:
    # By hand: ((1 1) 2) 9: 3 * 1 + 3 * 1 + 2 * 2 + 1 * 9.
    assert best_depths(np.array([1.0, 1.0, 2.0, 9.0])) == [3, 3, 2, 1]


def test_binarisations_of_the_same_symbols() -> None:
    vocabulary = sorted([*(bytes([byte]) for byte in range(256)), b"the", b"th", b"\xff\xff", b"\0\0\0"])
    for binarisation in (FLAT, TEXT):
        tree = make_tree(vocabulary, binarisation)
        for symbol in range(len(vocabulary)):
            node = 0
            while node >= 0:
                node = int(tree.child[node, int(symbol >= tree.middle[node])])
            assert ~node == symbol
