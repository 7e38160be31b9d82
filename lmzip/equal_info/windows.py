"""Equal-Info windows: text as tokens of equal information, for other models to be trained on.

Lester et al. (2024, arXiv 2404.03626) cut text into windows that compress to the same number of bits: bytes are added
while the code fits, then model and coder start anew. Here a window's code also says where it ends, which theirs leaves
open: every input comes back exactly, every window decodes alone, and any tokens decode to something. FORMAT.md
section 8 describes the code.

    tokens = lmzip.equal_info.encode(data, bits=16, token_bits=8)
    assert lmzip.equal_info.decode(tokens, bits=16) == data

It is no way to make files small: every window has to do without what came before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from lmzip.blocks.lockstep import CALL_FREQUENCIES, CALL_ROWS
from lmzip.models.networks.profile import is_portable
from lmzip.models.protocols import Model, Session
from lmzip.models.registry import load_model
from lmzip.models.text.tree import Tree

Buffer = bytes | bytearray | memoryview
Tokens = NDArray[np.uint8] | NDArray[np.uint16]
Progress = Callable[[int], None]  # told how many bytes (encode) or windows (decode) are done

WINDOW_BITS = (16, 24, 32, 64, 128)
TOKEN_BITS = (8, 16)
LITERALS = 256  # the last values of a window stand for single bytes
LIMIT = 8  # times the bits: a window of so many bytes takes no more
DECODER_WINDOWS = 256  # at a time


def encode(
    data: Buffer, bits: int = 16, token_bits: int = 8, model: Model | None = None, *,
    optimal: bool = False, segment: int | None = None, progress: Progress | None = None,
) -> Tokens:  # fmt: skip
    """Return data as tokens. Twin: decode.

    data: any bytes. bits: of a window, one of WINDOW_BITS. token_bits: 8 or 16. model: None for the default one.
    optimal: make the fewest windows there can be, in which some end before they are full; slower as many times as a
    window has bytes. segment: bytes; without `optimal` segments are coded in parallel, and end a window; None for
    128 * bits. Decoding needs neither.
    Returns (tokens,) uint8 or uint16: the bits of all windows, highest first, and zeros until the last token is full.
    Raises ValueError for other bits.
    """
    _check(bits, token_bits)
    data = bytes(memoryview(data).cast("B"))
    coder, report = WindowCoder(load_model() if model is None else model, bits), progress or (lambda done: None)
    values = _fewest(data, coder, report) if optimal else _full(data, coder, segment or 128 * bits, report)
    code = b"".join([value.to_bytes(bits // 8, "big") for value in values])
    code += bytes(-len(code) % (token_bits // 8))
    return np.frombuffer(code, f">u{token_bits // 8}").astype(f"u{token_bits // 8}")


def _full(data: bytes, coder: WindowCoder, segment: int, progress: Progress) -> list[int]:
    """Return windows that take what fits, beginning anew with each segment."""
    places = [*range(0, len(data), segment)]
    ends = [min(place + segment, len(data)) for place in places]
    values: list[list[int]] = [[] for _ in places]
    done = 0
    while active := [i for i, end in enumerate(ends) if places[i] < end]:
        texts = [data[places[i] : min(places[i] + coder.limit, ends[i])] for i in active]
        for i, stops in zip(active, coder.encode(texts), strict=True):
            value, size = stops[-1]
            values[i].append(value)
            places[i] += size
            done += size
        progress(done)
    return [value for part in values for value in part]


def _fewest(data: bytes, coder: WindowCoder, progress: Progress) -> list[int]:
    """Return the fewest windows: from the end on, the best one from every byte."""
    counts = [0] * (len(data) + 1)  # of the windows from there to the end
    best = [(0, 0)] * len(data)
    for end in range(len(data), 0, -CALL_ROWS):
        start = max(0, end - CALL_ROWS)
        coded = coder.encode([data[place : place + coder.limit] for place in range(start, end)])
        for place in reversed(range(start, end)):
            value, size = min(reversed(coded[place - start]), key=lambda stop: counts[place + stop[1]])
            counts[place], best[place] = 1 + counts[place + size], (value, size)
        progress(len(data) - start)
    values, place = [], 0
    while place < len(data):
        value, size = best[place]
        values.append(value)
        place += size
    return values


def decode(tokens: Tokens, bits: int = 16, model: Model | None = None, *, progress: Progress | None = None) -> bytes:
    """Return the data of tokens, also of such as encode would not give. Twin: encode.

    tokens: (tokens,) uint8 or uint16. bits, model: those that encode was given.
    Raises TypeError and ValueError for other arrays and bits.
    """
    coder, values = WindowCoder(load_model() if model is None else model, bits), windows_of(tokens, bits)
    out: list[bytes] = []
    for start in range(0, len(values), coder.most_windows):
        out += coder.decode(values[start : start + coder.most_windows])
        if progress is not None:
            progress(len(out))
    return b"".join(out)


def decode_window(tokens: Tokens, index: int, bits: int = 16, model: Model | None = None) -> bytes:
    """Return the data of one window, which needs no other. Raises IndexError where there is none, else as decode."""
    return WindowCoder(load_model() if model is None else model, bits).decode([windows_of(tokens, bits)[index]])[0]


def windows_of(tokens: Tokens, bits: int) -> list[int]:
    """Return the windows of tokens as integers. Raises TypeError and ValueError for other arrays and bits."""
    if not isinstance(tokens, np.ndarray) or tokens.dtype not in (np.uint8, np.uint16) or tokens.ndim != 1:
        raise TypeError("tokens must be a numpy array (tokens,), uint8 or uint16")
    _check(bits, 8 * tokens.itemsize)
    code, size = tokens.astype(tokens.dtype.newbyteorder(">")).tobytes(), bits // 8
    return [int.from_bytes(code[i : i + size], "big") for i in range(0, len(code) // size * size, size)]


def _check(bits: int, token_bits: int) -> None:
    if bits not in WINDOW_BITS:
        raise ValueError(f"bits must be one of {', '.join(map(str, WINDOW_BITS))}, not {bits!r}")
    if token_bits not in TOKEN_BITS:
        raise ValueError(f"token_bits must be 8 or 16, not {token_bits!r}")


class WindowCoder:
    """Codes windows of `bits` bits by a model's predictions from nothing."""

    def __init__(self, model: Model, bits: int) -> None:
        if not is_portable(model.profile):
            raise ValueError(f"{model.id} is a float network: its windows would not decode alone")
        self._model, self._tree = model, _Tree(model.tree)
        self._first_literal = (1 << bits) - LITERALS
        self._steps = 3 * bits // 16  # symbols: somewhat more than a window of prose takes
        self._rows = max(1, min(CALL_ROWS, CALL_FREQUENCIES // model.alphabet))  # predictions of a call
        self.limit = LIMIT * bits  # bytes of a window
        self.most_windows = min(DECODER_WINDOWS, model.most_windows)

    def encode(self, texts: Sequence[bytes]) -> list[list[tuple[int, int]]]:
        """Return for each text, none empty, the windows that begin it: their values and bytes, the longest last."""
        symbols = [self._model.encode(text) for text in texts]
        windows = [_Window(self._first_literal) for _ in texts]
        pending, steps = list(range(len(texts))), self._steps
        while pending:  # what is longer begins again with more steps
            longer, rows = [], max(1, min(self._rows // steps, self._model.most_windows))
            for batch in (pending[start : start + rows] for start in range(0, len(pending), rows)):
                table = np.zeros((len(batch), min(steps, max(len(symbols[i]) for i in batch))), np.int32)
                for line, i in zip(table, batch, strict=True):
                    line[: len(symbols[i])] = symbols[i][: len(line)]
                predictions = self._model.begin(len(batch), False, table.shape[1]).prefill(table)
                for row, i in enumerate(batch):
                    window = windows[i] = _Window(self._first_literal)
                    pairs = zip(symbols[i].tolist(), predictions[:, row], strict=False)
                    if all(window.encode(self._tree, frequencies, symbol) for symbol, frequencies in pairs):
                        longer += [i] if len(symbols[i]) > len(predictions) else []
            pending, steps = longer, 2 * steps
        return [
            window.stops or [(self._first_literal + text[0], 1)] for text, window in zip(texts, windows, strict=True)
        ]

    def decode(self, values: Sequence[int]) -> list[bytes]:
        """Return the bytes of windows given by their values."""
        windows = [_Window(self._first_literal) for _ in values]
        for window, value in zip(windows, values, strict=True):
            if value >= self._first_literal:
                window.data.append(value - self._first_literal)
        rows = [i for i, window in enumerate(windows) if not window.data]
        history = np.zeros((len(rows), 0), np.int32)
        session = self._resume(history)
        while rows:
            symbols, alive = np.zeros(len(rows), np.int32), []
            for row, (i, frequencies) in enumerate(zip(rows, session.predict(), strict=True)):
                if windows[i].ended:
                    continue
                symbols[row] = windows[i].decode(self._tree, frequencies, values[i])
                windows[i].ended |= len(windows[i].data) >= self.limit
                if not windows[i].ended:
                    alive.append(row)
            history = np.concatenate((history, symbols[:, None]), axis=1)
            if len(alive) > len(rows) // 2:
                session.update(symbols)
            else:  # leave those that ended behind
                rows, history = [rows[row] for row in alive], history[alive]
                session = self._resume(history)
        return [bytes(window.data) for window in windows]

    def _resume(self, history: NDArray[np.int32]) -> Session:
        """Return a session of windows that have read history (windows, steps)."""
        windows, steps = history.shape
        step = max(1, self._rows // max(1, windows))
        session = self._model.begin(max(1, windows), False, step)
        for start in range(0, steps if windows else 0, step):
            session.prefill(history[:, start : start + step])
        return session


class _Tree:
    """A tree as lists, which Python reads faster than arrays."""

    def __init__(self, tree: Tree) -> None:
        self.ranges = list(zip(tree.first.tolist(), tree.middle.tolist(), tree.end.tolist(), strict=True))
        self.child: list[list[int]] = tree.child.tolist()
        self.depth: list[int] = tree.depth.tolist()
        self.bytes = [bytes(row[:n]) for row, n in zip(tree.bytes, tree.length.tolist(), strict=True)]

    def ones(self, node: int, sums: NDArray[np.int64], size: int) -> int:
        """Return how many of `size` values go to 1 at a node: its share of them, rounded."""
        first, middle, end = (sums.item(symbol) for symbol in self.ranges[node])
        return (2 * size * (end - middle) + (end - first)) // (2 * (end - first))

    def known(self, node: int) -> bytes:
        """Return the bytes of the symbol that are known at a node; ~node is a symbol."""
        return self.bytes[~node] if node < 0 else self.bytes[self.ranges[node][0]][: self.depth[node]]


class _Window:
    """The values that a window can still have, and the bytes that all of them begin with.

    low, size: those with further bytes are low .. low + size - 1. stops: those of windows that have ended, and their
    bytes.
    """

    def __init__(self, size: int) -> None:
        self.low, self.size = 0, size
        self.stops: list[tuple[int, int]] = []
        self.data = bytearray()
        self.ended = False

    def encode(self, tree: _Tree, frequencies: NDArray[np.uint32], symbol: int) -> bool:
        """Add as many bytes of a symbol as fit; return whether all do. Twin: decode."""
        sums, node, known = _sums(frequencies), 0, 0
        while node >= 0:
            ones = tree.ones(node, sums, self.size)
            bit = symbol >= tree.ranges[node][1]
            self._turn(bit, ones)
            if self.size == 0:
                return False
            node = tree.child[node][bit]
            known = self._add(tree.known(node), known)
        return True

    def decode(self, tree: _Tree, frequencies: NDArray[np.uint32], value: int) -> int:
        """Add the bytes of the next symbol up to where the value ends the window, if it does; return the symbol."""
        sums, node, known = _sums(frequencies), 0, 0
        while node >= 0 and not self.ended:
            ones = tree.ones(node, sums, self.size)
            bit = value >= self.low + self.size - ones
            self._turn(bit, ones)
            node = tree.child[node][bit]
            known = self._add(tree.known(node), known)
            self.ended = (value, len(self.data)) in self.stops[-1:]
        return max(~node, 0)

    def _turn(self, bit: bool, ones: int) -> None:
        """Keep the values of one side."""
        if bit:
            self.low, self.size = self.low + self.size - ones, ones
        else:
            self.size -= ones

    def _add(self, text: bytes, known: int) -> int:
        """Take note of the bytes of a symbol beyond the `known` ones, after which the window may end."""
        if len(text) > known:
            self.data += text[known:]
            self.stops.append((self.low, len(self.data)))
            self.low, self.size = self.low + 1, self.size - 1
        return len(text)


def _sums(frequencies: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Return the sums of the frequencies before each symbol, and of all."""
    return np.concatenate((np.zeros(1, np.int64), frequencies.cumsum(dtype=np.int64)))
