"""What both coders share: the interface, the checks, the words and the two forms of a probability.

A symbol is coded with the interval [left, left + width) of FREQUENCY_TOTAL = 2**24 parts, where width is the frequency
of the symbol and left the sum of the frequencies before it. constriction takes floats, and turns c_0 .. c_(n-1) into
frequencies int(scale * sum of the c before) + index with scale = (2**24 - n) / sum of c. For integers c_i = f_i - 1 the
scale is 1 and every partial sum is an integer below 2**24, so float32 holds all of it and the frequency is f_i exactly.

Where constriction is not there, `integer_coders` takes its place (`implementation`), with the same floats.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .implementation import BERNOULLI, CATEGORICAL

FREQUENCY_TOTAL = 1 << 24
BIT_TOTAL = 1 << 16

# constriction wants fewer than 2**24 - 1 symbols.
MAX_ALPHABET = FREQUENCY_TOTAL - 2

# Frequencies are checked and converted in pieces of this many entries, which stay in the processor's cache.
_PIECE = 1 << 16

Symbols: TypeAlias = npt.NDArray[np.int32]
Frequencies: TypeAlias = npt.NDArray[np.uint32] | npt.NDArray[np.int32]
Bits: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.int32] | npt.NDArray[np.bool_]
Probabilities: TypeAlias = npt.NDArray[np.uint16]
Words: TypeAlias = npt.NDArray[np.uint32]
Parameters: TypeAlias = npt.NDArray[np.float32]
Buffer: TypeAlias = bytes | bytearray | memoryview


class CoderError(ValueError):
    """The coded data cannot come from an encoder that was given the same probabilities."""


class Encoder(ABC):
    """Turn integers and their integer distributions into bytes."""

    def __init__(self) -> None:
        self._finished_size: int | None = None

    @property
    def size(self) -> int:
        """Return the number of bytes that `finish` would give now, at most (exact for the range coder)."""
        return self._size_bound() if self._finished_size is None else self._finished_size

    def encode_symbols(self, symbols: Symbols, frequencies: Frequencies) -> None:
        """Encode one symbol per row of frequencies, in order. Twin: `Decoder.decode_symbols`.

        Args:
            symbols: (n,) int32, each in 0 .. alphabet - 1.
            frequencies: (n, alphabet) uint32 or int32, every entry at least 1, every row sums to FREQUENCY_TOTAL.

        Raises:
            TypeError: not an array, or another dtype.
            ValueError: another shape or value, or the encoder is finished. Nothing was encoded then.
        """
        self._check_open()
        _check_frequencies(frequencies)
        _check_array("symbols", symbols, (np.int32,), 1)
        count, alphabet = frequencies.shape
        if len(symbols) != count:
            raise ValueError(f"symbols has length {len(symbols)}, but frequencies has {count} rows")
        if count == 0:
            return
        if symbols.min() < 0 or symbols.max() >= alphabet:
            bad = symbols[(symbols < 0) | (symbols >= alphabet)][0]
            raise ValueError(f"symbol {bad} is outside of the alphabet 0 .. {alphabet - 1}")
        if alphabet < 3:
            parameters = _categories(frequencies, 0)
            if alphabet == 2:
                self._encode(np.ascontiguousarray(symbols), CATEGORICAL, parameters)
            return
        left, width = _intervals(symbols, frequencies)
        indices, parameters = _three_categories(left, width)
        self._encode(indices, CATEGORICAL, parameters)

    def encode_bits(self, bits: Bits, probabilities: Probabilities) -> None:
        """Encode bits, in order. Twin: `Decoder.decode_bits`.

        A 1 gets 256 * k parts of FREQUENCY_TOTAL, and one more where k < 32768: that is how constriction rounds.

        Args:
            bits: (n,) bool, uint8 or int32, each 0 or 1.
            probabilities: (n,) uint16, the probability of a 1 is k / BIT_TOTAL with 1 <= k.

        Raises:
            TypeError: not an array, or another dtype.
            ValueError: another shape or value, or the encoder is finished. Nothing was encoded then.
        """
        self._check_open()
        parameters = _bernoulli(probabilities)
        _check_array("bits", bits, (np.bool_, np.uint8, np.int32), 1)
        if len(bits) != len(parameters):
            raise ValueError(f"bits has length {len(bits)}, but probabilities has length {len(parameters)}")
        if len(bits) == 0:
            return
        if bits.min() < 0 or bits.max() > 1:
            raise ValueError(f"bit {bits[(bits < 0) | (bits > 1)][0]} is neither 0 nor 1")
        self._encode(np.ascontiguousarray(bits, dtype=np.int32), BERNOULLI, parameters)

    def finish(self) -> bytes:
        """Return all that was encoded, as little-endian 32-bit words.

        Raises:
            ValueError: the encoder is finished already.
        """
        self._check_open()
        data = words_to_bytes(self._flush())
        self._finished_size = len(data)
        return data

    def _check_open(self) -> None:
        if self._finished_size is not None:
            raise ValueError("the encoder is finished; make a new one")

    @abstractmethod
    def _encode(self, symbols: Symbols, model: Any, parameters: Parameters) -> None:
        """Encode n > 0 symbols, all arrays contiguous and checked; parameters are those of the model."""

    @abstractmethod
    def _flush(self) -> Words:
        """Return the coded words; called once."""

    @abstractmethod
    def _size_bound(self) -> int:
        """Return the number of bytes that the words of `_flush` take now, at most."""


class Decoder(ABC):
    """Turn bytes back into the integers, given the same distributions in the same order.

    A coder detects next to nothing by itself: most wrong data decodes to wrong symbols without an error, and so does
    more than was encoded. Store counts and a checksum.

    Args:
        data: bytes-like, what `Encoder.finish` returned.

    Raises:
        TypeError: data is not bytes-like.
        CoderError: no encoder gives such data.
    """

    def __init__(self, data: Buffer) -> None:
        words = bytes_to_words(data)
        try:
            self._coder = self._open(words)
        except BaseException as error:
            _raise_as_coder_error(error)

    def decode_symbols(self, frequencies: Frequencies) -> Symbols:
        """Decode one symbol per row of frequencies. Twin: `Encoder.encode_symbols`.

        Args:
            frequencies: (n, alphabet) uint32 or int32, every entry at least 1, every row sums to FREQUENCY_TOTAL.

        Returns:
            (n,) int32.

        Raises:
            TypeError: not an array, or another dtype.
            ValueError: another shape or value.
            CoderError: the data is damaged.
            After an error the place in the data is lost.
        """
        _check_frequencies(frequencies)
        count, alphabet = frequencies.shape
        symbols = np.zeros(count, np.int32)
        scratch = np.empty((min(count, _rows_per_piece(alphabet)), alphabet), np.float32)
        for row, piece in _pieces(frequencies):
            parameters = _categories(piece, row, scratch[: len(piece)])
            if alphabet > 1:
                symbols[row : row + len(piece)] = self._decode(CATEGORICAL, parameters)
        return symbols

    def decode_bits(self, probabilities: Probabilities) -> npt.NDArray[np.uint8]:
        """Decode bits. Twin: `Encoder.encode_bits`.

        Args:
            probabilities: (n,) uint16, the probability of a 1 is k / BIT_TOTAL with 1 <= k.

        Returns:
            (n,) uint8, each 0 or 1.

        Raises:
            TypeError: not an array, or another dtype.
            ValueError: another shape or value.
            CoderError: the data is damaged.
            After an error the place in the data is lost.
        """
        parameters = _bernoulli(probabilities)
        if len(parameters) == 0:
            return np.zeros(0, np.uint8)
        return self._decode(BERNOULLI, parameters).astype(np.uint8)

    def _decode(self, model: Any, parameters: Parameters) -> Symbols:
        try:
            symbols: Symbols = self._coder.decode(model, parameters)
        except BaseException as error:
            _raise_as_coder_error(error)
        return symbols

    @abstractmethod
    def finish(self) -> None:
        """Check that the data is used up, as far as that can be known; may be called at any time and repeatedly.

        Raises:
            CoderError: it is certainly not.
        """

    @staticmethod
    @abstractmethod
    def _open(words: Words) -> Any:
        """Return a decoder of the implementation over words."""


def words_to_bytes(words: Words) -> bytes:
    """Return (n,) uint32 words as 4 * n little-endian bytes."""
    return words.astype("<u4").tobytes()


def bytes_to_words(data: Buffer) -> Words:
    """Return 4 * n little-endian bytes as (n,) uint32 words.

    Raises:
        TypeError: data is not bytes-like.
        CoderError: the number of bytes is no multiple of 4.
    """
    try:
        view = memoryview(data).cast("B")
    except TypeError as error:
        raise TypeError(f"data must be contiguous and bytes-like, not {type(data).__name__}") from error
    if len(view) % 4:
        raise CoderError(f"coded data must be whole 32-bit words, not {len(view)} bytes")
    return np.frombuffer(view, dtype="<u4").astype(np.uint32)


def _raise_as_coder_error(error: BaseException) -> None:
    # A panic in Rust arrives as a PanicException, which is no Exception and cannot be imported.
    if isinstance(error, (AssertionError, LookupError, ValueError)) or type(error).__name__ == "PanicException":
        raise CoderError(f"coded data does not fit the probabilities ({type(error).__name__}: {error})") from error
    raise error


def _check_array(name: str, value: object, dtypes: tuple[type[np.generic], ...], dimensions: int) -> None:
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{name} must be a numpy array, not {type(value).__name__}")
    if value.dtype not in dtypes:
        allowed = " or ".join(np.dtype(dtype).name for dtype in dtypes)
        raise TypeError(f"{name} must be {allowed}, not {value.dtype}")
    if value.ndim != dimensions:
        raise ValueError(f"{name} must have {dimensions} dimension(s), not shape {value.shape}")


def _check_frequencies(frequencies: Frequencies) -> None:
    """Check type and shape; the values are checked piece by piece."""
    _check_array("frequencies", frequencies, (np.uint32, np.int32), 2)
    count, alphabet = frequencies.shape
    if count and not 1 <= alphabet <= MAX_ALPHABET:
        raise ValueError(f"frequencies must have 1 .. {MAX_ALPHABET} columns, not {alphabet}")


def _check_minimum(frequencies: Frequencies, first_row: int) -> None:
    if frequencies.min() < 1:
        row, column = np.unravel_index(frequencies.argmin(), frequencies.shape)
        value = frequencies[row, column]
        raise ValueError(f"frequencies[{first_row + row}, {column}] is {value}, must be at least 1")


def _check_sums(good: npt.NDArray[np.bool_], frequencies: Frequencies, first_row: int) -> None:
    if not good.all():
        row = int(good.argmin())
        total = frequencies[row].sum(dtype=np.int64)
        raise ValueError(f"frequencies[{first_row + row}] sums to {total}, must be {FREQUENCY_TOTAL}")


def _rows_per_piece(alphabet: int) -> int:
    return max(1, _PIECE // max(1, alphabet))


def _pieces(frequencies: Frequencies) -> Iterator[tuple[int, Frequencies]]:
    """Yield (first row, rows) pieces of frequencies."""
    count, alphabet = frequencies.shape
    step = _rows_per_piece(alphabet)
    for row in range(0, count, step):
        yield row, frequencies[row : row + step]


def _categories(frequencies: Frequencies, first_row: int, out: Parameters | None = None) -> Parameters:
    """Return (n, alphabet) float32 c = f - 1; check the values. Messages count rows from first_row."""
    _check_minimum(frequencies, first_row)
    alphabet = frequencies.shape[1]
    categories = np.subtract(frequencies, 1, out=out, dtype=np.float32, casting="unsafe", order="C")
    if alphabet == 1:
        good = frequencies[:, 0] == FREQUENCY_TOTAL
    else:
        # A float32 sum is faster than an int64 one, and as good: no c is negative and rounding is monotone, so when
        # anything was ever rounded the sum is 2**24 - 1 or more, which is not 2**24 - alphabet.
        good = categories.sum(axis=1) == np.float32(FREQUENCY_TOTAL - alphabet)
    _check_sums(good, frequencies, first_row)
    return categories


def _intervals(symbols: Symbols, frequencies: Frequencies) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return left (n,) and width (n,) of the symbols' intervals; check the values."""
    count, alphabet = frequencies.shape
    left, width = np.empty(count, np.int64), np.empty(count, np.int64)
    for row, piece in _pieces(frequencies):
        _check_minimum(piece, row)
        rows = slice(row, row + len(piece))
        flat = np.ascontiguousarray(piece).reshape(-1)
        starts = np.arange(len(piece)) * alphabet
        # One pass gives the sums before the symbol and from it on. An empty range gives its first entry, not 0.
        bounds = np.stack([starts, starts + symbols[rows]], axis=1).reshape(-1)
        sums = np.add.reduceat(flat, bounds, dtype=np.int64).reshape(-1, 2)
        left[rows] = np.where(symbols[rows] > 0, sums[:, 0], 0)
        width[rows] = flat[bounds[1::2]]
        _check_sums(left[rows] + sums[:, 1] == FREQUENCY_TOTAL, piece, row)
    return left, width


def _three_categories(left: npt.NDArray[np.int64], width: npt.NDArray[np.int64]) -> tuple[Symbols, Parameters]:
    """Return indices (n,) and (n, 3) float32 that code the intervals, where at least 2 parts lie outside of each.

    A coder sees nothing but the interval, so three categories give the same bytes as the whole alphabet. constriction's
    time is linear in the categories: this makes encoding independent of them, and keeps what rANS must buffer small.
    """
    right = FREQUENCY_TOTAL - left - width
    first, last = left == 0, right == 0
    # No category may be empty. Where the interval lies at an end, the other side is cut in two.
    lower = np.where(first, width, np.where(last, 1, left))
    upper = np.where(first, FREQUENCY_TOTAL - 1, np.where(last, left, left + width))
    categories = np.empty((len(left), 3), np.float32)
    categories[:, 0] = lower - 1
    categories[:, 1] = upper - lower - 1
    categories[:, 2] = FREQUENCY_TOTAL - 1 - upper
    return np.where(first, 0, np.where(last, 2, 1)).astype(np.int32), categories


def _bernoulli(probabilities: Probabilities) -> Parameters:
    """Return (n,) float32 k / BIT_TOTAL, checked and exact."""
    _check_array("probabilities", probabilities, (np.uint16,), 1)
    if len(probabilities) and probabilities.min() < 1:
        raise ValueError(f"probabilities[{int(probabilities.argmin())}] is 0, must be 1 .. {BIT_TOTAL - 1}")
    return np.ascontiguousarray(probabilities) * np.float32(1 / BIT_TOTAL)
