"""What the kernels of the ensemble work on: the windows, the decision at hand, what the block has taught, the block."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmzip.models.mixing import apm, logistic
from lmzip.models.text import contexts, matches, numbers
from lmzip.models.text.context_subset import CONTEXTS
from lmzip.models.text.tree import Tree
from lmzip.models.text.weight_sets import FINAL_ROWS, ROWS, SETS

# Inputs of the mixer: the network's logit and its probability, a constant, what the maps make of
# the network, two of every match, INPUTS_EACH of every context; filled up to a multiple of 16.
NETWORK_LOGIT, NETWORK_PROBABILITY, BIAS, FIRST_REFINED = 0, 1, 2, 3
NETWORK_MAPS = 2
FIRST_MATCH = FIRST_REFINED + NETWORK_MAPS
FIRST_CONTEXT = FIRST_MATCH + matches.INPUTS_A_MATCH * matches.MATCHES
INPUTS_EACH = 3
PIECE = 64  # symbols whose frequencies are summed up together
SLOTS = 16  # of a line of counters
NETWORK_NODES = 512
NETWORK_ROWS = NETWORK_NODES + (1 << 16)
APMS = 3  # behind the mixer: by the last byte, by the last two bytes, by the longest match
SMALLEST_LINE_BITS, LARGEST_LINE_BITS = 14, 23
FIRST_OF_TWO_BYTES, FIRST_OF_MATCH, APM_ROWS = 1 << 16, 5 << 16, (5 << 16) + matches.LENGTHS * 512


class Windows(NamedTuple):
    """What is kept of every window between its symbols."""

    history: NDArray[np.uint8]  # (windows, capacity)
    size: NDArray[np.int64]  # (windows,) bytes of the history
    memory: NDArray[np.int64]  # (windows, contexts.MEMORY_SIZE)
    match: NDArray[np.int64]  # (windows, matches.MATCHES, matches.FIELDS)


class Decision(NamedTuple):
    """What is known of the decision at hand, which is predicted, coded and learnt."""

    sums: NDArray[np.int32]  # (pieces,) of the network's frequencies before a piece; (0,): no network
    peaks: NDArray[np.uint32]  # (pieces,) the largest of a piece
    expects: NDArray[np.int64]  # (3,) by LIKELIEST, RUNNER_UP, CONFIDENCE of contexts.py
    mass: NDArray[np.int32]  # (3,) by BELOW, HERE, LEFT of network.py
    hashes: NDArray[np.uint32]  # (CONTEXTS,) of the byte
    line: NDArray[np.int64]  # (contexts in use,) the first slot of the line of each
    inputs: NDArray[np.int32]  # (inputs,)
    rows: NDArray[np.int64]  # (SETS,) the row of weights that each set has chosen
    outputs: NDArray[np.int32]  # (SETS + 1,) of the sets, then of the final mixer
    network_steps: NDArray[np.int64]  # (NETWORK_MAPS + 1,) as steps, in the APMs of the network
    steps: NDArray[np.int64]  # (APMS + 1,) support points in the APMs, then the part of the next step
    log: NDArray[np.int64]  # entries of maps that were learnt, see beginning.py; (0,): nobody wants to know
    logged: NDArray[np.int64]  # (1,) how many there were


class Tables(NamedTuple):
    """What all windows of a block learn together, and the fixed tables."""

    contexts: NDArray[np.int64]  # those in use
    sets: NDArray[np.int64]  # of weights, those in use
    slots: NDArray[np.uint32]  # (lines * SLOTS,): probability << 16 | state << 8 | a byte of the line's label
    state_maps: NDArray[np.uint32]  # (contexts in use, 256): probability << 10 | times seen
    network_maps: NDArray[np.int32]  # (NETWORK_ROWS * STEPS + 1,) as apms, of what came of the network's predictions
    match_maps: NDArray[np.int32]  # (MATCHES, MISSES * LENGTHS): probability that the expected bit comes, of 2**22
    match_index: NDArray[np.int64]  # (MATCHES, 2**INDEX_BITS)
    weights: NDArray[np.int32]  # (ROWS, inputs)
    final_weights: NDArray[np.int32]  # (FINAL_ROWS, SETS)
    apms: NDArray[np.int32]  # (APM_ROWS * STEPS + 1,) probabilities of 65536, see mixing/apm.py
    next_state: NDArray[np.uint8]  # (states, 2)
    rate: NDArray[np.int32]  # (states,) of 65536
    confidence: NDArray[np.int32]  # (states,) of 256
    share: NDArray[np.int32]  # (256,) of 65536: how far a map of states moves that has seen so many bits
    stretch: NDArray[np.int16]  # (4096,)
    squash: NDArray[np.int32]  # (2 * LOGIT_MAX + 1,)
    log: NDArray[np.int32]  # (1025,)


class Block(NamedTuple):
    """One block: all that its kernels share."""

    windows: Windows
    decision: Decision
    tables: Tables
    tree: Tree
    row_length: int  # bytes of the rows that the data consists of; 0: it has lines


def make_windows(count: int, capacity: int) -> Windows:
    """Return windows that have seen nothing."""
    match = np.zeros((count, matches.MATCHES, matches.FIELDS), np.int64)
    match[:, :, matches.EXPECTED] = -1
    history, size = np.zeros((count, capacity), np.uint8), np.zeros(count, np.int64)
    return Windows(history, size, np.zeros((count, contexts.MEMORY_SIZE), np.int64), match)


def make_decision(alphabet: int, used: int, log: int = 0) -> Decision:
    """Return room for a decision.

    alphabet: 0 for no network. used: the number of contexts in use. log: how many entries the log has.
    """
    return Decision(
        sums=np.zeros(-(-alphabet // PIECE), np.int32),
        peaks=np.zeros(-(-alphabet // PIECE), np.uint32),
        expects=np.array([-1, -1, 0]),
        mass=np.zeros(3, np.int32),
        hashes=np.zeros(CONTEXTS, np.uint32),
        line=np.zeros(used, np.int64),
        inputs=np.zeros(inputs_for(used), np.int32),
        rows=np.zeros(SETS, np.int64),
        outputs=np.zeros(SETS + 1, np.int32),
        network_steps=np.zeros(NETWORK_MAPS + 1, np.int64),
        steps=np.zeros(APMS + 1, np.int64),
        log=np.zeros(log, np.int64),
        logged=np.zeros(1, np.int64),
    )


def inputs_for(used: int) -> int:
    """Return the number of the mixer's inputs with `used` contexts: a multiple of 16."""
    return -(-(FIRST_CONTEXT + INPUTS_EACH * used) // 16) * 16


def line_bits(size: int) -> int:
    """Return the bits of the number of lines of a block of `size` bytes: 16 a byte."""
    return min(max((size - 1).bit_length() + 4, SMALLEST_LINE_BITS), LARGEST_LINE_BITS)


def make_tables(size: int, has_network: bool, used: NDArray[np.int64], sets: NDArray[np.int64]) -> Tables:
    """Return tables that have learnt nothing, for a block of `size` bytes and the contexts and sets in use."""
    n = len(used)
    next_state, counts = numbers.states()
    seen = counts.sum(axis=1)
    state_maps = np.zeros((n, 256), np.uint32)
    state_maps[:, : len(counts)] = ((2 * counts[:, 1] + 1) * (1 << 22) // (2 * seen + 2)) << 10
    lengths = np.arange(matches.LENGTHS)
    match_maps = np.tile(np.minimum(60 + 2 * lengths, 97) * (1 << 22) // 100, (matches.MATCHES, matches.MISSES))
    weights = np.zeros((ROWS, inputs_for(n)), np.int32)
    weights[:, NETWORK_LOGIT] = 40000 if has_network else 0
    weights[:, FIRST_MATCH : FIRST_CONTEXT : matches.INPUTS_A_MATCH] = 8000
    end = FIRST_CONTEXT + INPUTS_EACH * n
    weights[:, FIRST_CONTEXT:end:INPUTS_EACH] = 2500
    weights[:, FIRST_CONTEXT + 1 : end : INPUTS_EACH] = 1000
    squash = logistic.squash_table()
    support = squash[np.arange(apm.STEPS) * (2 * logistic.LOGIT_MAX) // (apm.STEPS - 1)]
    return Tables(
        contexts=used,
        sets=sets,
        slots=np.zeros(SLOTS << line_bits(size), np.uint32),
        network_maps=np.append(np.tile(support, NETWORK_ROWS), support[-1]).astype(np.int32),
        state_maps=state_maps,
        match_maps=match_maps.astype(np.int32),
        match_index=np.full((matches.MATCHES, 1 << matches.INDEX_BITS), -1, np.int64),
        weights=weights,
        final_weights=np.full((FINAL_ROWS, SETS), 65536 // len(sets), np.int32),
        apms=np.append(np.tile(support, APM_ROWS), support[-1]).astype(np.int32),
        next_state=next_state.astype(np.uint8),
        rate=logistic.counter_rates()[seen],
        confidence=(256 * seen // (seen + 1)).astype(np.int32),
        share=(65536 // np.arange(2, 258)).astype(np.int32),
        stretch=logistic.stretch_table(),
        squash=squash,
        log=logistic.log_table(),
    )
