"""Weights of an exact network: rounding a float network, safetensors in and out."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from lmzip.models.exact.arithmetic import WEIGHT_MAX
from lmzip.models.exact.config import CHANNEL, TIME, NetworkConfig

ROWS = 4096  # that are rounded at a time
NIBBLE_MAX = 7  # of the table of n-grams, which is large: its values take half a byte in a file
# No trained network comes near; within them, and the sizes of `config.LARGEST`, no float32 of the evaluation overflows.
SCALE_LIMIT, GAIN_LIMIT, BIAS_LIMIT, MIX_LIMIT, POST_NORM_LIMIT = 1.0, 1024.0, 65536.0, 16.0, 65536.0


def largest_value(name: str) -> int:
    """Return the largest integer that a matrix may have."""
    return NIBBLE_MAX if name == "ngrams" else WEIGHT_MAX


@dataclasses.dataclass(frozen=True)
class Matrix:
    """values * scale[:, None]: int8 (outputs, inputs) in [-63, 63], float32 (outputs,)."""

    values: NDArray[np.int8]
    scale: NDArray[np.float32]

    @classmethod
    def rounded(cls, weight: NDArray[np.float32], most: int = WEIGHT_MAX) -> Matrix:
        """Round a float matrix to integers of at most `most` with a scale a row."""
        values, scale = np.empty(weight.shape, np.int8), np.empty(len(weight), np.float32)
        for first in range(0, len(weight), ROWS):  # the floats of a vocabulary are large, and so would be copies
            rows = slice(first, first + ROWS)
            largest = np.abs(weight[rows]).max(axis=1)
            scale[rows] = np.maximum(largest, np.float32(1e-8)) / np.float32(most)
            values[rows] = np.rint(weight[rows] / scale[rows, None])
        return cls(values, scale)

    @property
    def nibbles(self) -> NDArray[np.uint8]:
        """Return values -7 .. 7 plus 8, two a byte, the first in the low half: (outputs, inputs / 2)."""
        plus = (self.values + 8).astype(np.uint8)
        return plus[:, ::2] + plus[:, 1::2] * np.uint8(16)

    @classmethod
    def from_nibbles(cls, nibbles: NDArray[np.uint8], scale: NDArray[np.float32]) -> Matrix:
        """Return the matrix of `nibbles`."""
        values = np.empty((len(nibbles), 2 * nibbles.shape[1]), np.int8)
        values[:, ::2], values[:, 1::2] = nibbles & 15, nibbles >> 4
        values -= 8
        return cls(values, scale)


@dataclasses.dataclass(frozen=True)
class Weights:
    """Every number of a network. `matrices` has config.table_shapes() and config.matrix_shapes()."""

    config: NetworkConfig
    matrices: dict[str, Matrix]
    gains: dict[str, NDArray[np.float32]]
    biases: dict[str, NDArray[np.float32]] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        c = self.config
        for name, shape in {**c.table_shapes(), **c.matrix_shapes()}.items():
            matrix = self.matrices.get(name)
            if matrix is None or matrix.values.shape != shape or matrix.scale.shape != shape[:1]:
                raise ValueError(f"weights: {name} is missing or not of shape {shape}")
            if matrix.values.dtype != np.int8 or matrix.scale.dtype != np.float32:
                raise ValueError(f"weights: {name} is not int8 with float32 scales")
            largest = largest_value(name)
            if not -largest <= matrix.values.min() <= matrix.values.max() <= largest:
                raise ValueError(f"weights: {name} has values beyond {largest}")
            if not ((matrix.scale >= 0) & (matrix.scale <= SCALE_LIMIT)).all():
                raise ValueError(f"weights: {name} has a scale that is not in [0, {SCALE_LIMIT}]")
        for what, vectors, lengths, limit in (
            ("gain", self.gains, self.gain_lengths(c), GAIN_LIMIT),
            ("bias", self.biases, self.bias_lengths(c), BIAS_LIMIT),
        ):
            for name, length in lengths.items():
                vector = vectors.get(name)
                if vector is None or vector.shape != (length,) or vector.dtype != np.float32:
                    raise ValueError(f"weights: {name} is missing or not {length} float32 ({what})")
                most = MIX_LIMIT if name.endswith("_mix") else limit
                most = POST_NORM_LIMIT if name.endswith("_post_norm") else most
                if not (np.abs(vector) <= most).all():
                    raise ValueError(f"weights: {name} has a {what} beyond {most}")

    @staticmethod
    def norm_lengths(c: NetworkConfig) -> dict[str, int]:
        """Name to length of every norm."""
        lengths = {"norm": c.hidden_size}
        if c.is_recurrent:
            lengths["embedding_norm"] = c.hidden_size
        for i in range(c.num_hidden_layers):
            lengths[f"layers.{i}.attention_norm"] = c.hidden_size
            lengths[f"layers.{i}.mlp_norm"] = c.hidden_size
            if c.post_norms:
                lengths[f"layers.{i}.attention_post_norm"] = c.hidden_size
                lengths[f"layers.{i}.mlp_post_norm"] = c.hidden_size
            if c.qk_norm:
                lengths[f"layers.{i}.q_norm"] = c.head_dim
                lengths[f"layers.{i}.k_norm"] = c.head_dim
        return lengths

    @classmethod
    def gain_lengths(cls, c: NetworkConfig) -> dict[str, int]:
        """Name to length of every vector of factors: gains of norms, and what inputs are mixed by."""
        mixed = [f"layers.{i}.{name}_mix" for i in range(c.num_hidden_layers) for name in (*TIME, *CHANNEL)]
        return cls.norm_lengths(c) | (dict.fromkeys(mixed, c.hidden_size) if c.is_recurrent else {})

    @classmethod
    def bias_lengths(cls, c: NetworkConfig) -> dict[str, int]:
        """Name to length of every vector of terms: biases of layer norms and projections, exponents of recurrences."""
        lengths = cls.norm_lengths(c) if c.norm == "layer" else {}
        if c.is_recurrent:
            exponents = [f"layers.{i}.{name}" for i in range(c.num_hidden_layers) for name in ("decay", "first")]
            lengths |= dict.fromkeys(exponents, c.head_dim)
        shapes = c.matrix_shapes()
        names = [f"layers.{i}.{name}" for i in range(c.num_hidden_layers) for name in c.biases]
        return lengths | {name: shapes[name][0] for name in names}

    def matrix(self, name: str) -> Matrix:
        """Return a matrix; a tied head is the embedding without the marks."""
        if name == "head" and self.config.tie_word_embeddings:
            embedding, size = self.matrices["embedding"], self.config.vocab_size
            return Matrix(embedding.values[:size], embedding.scale[:size])
        return self.matrices[name]

    @classmethod
    def from_float(cls, config: NetworkConfig, tensors: dict[str, NDArray[np.float32]]) -> Weights:
        """Round the float tensors named `<name>.weight` and `<name>.bias` of a trained network."""
        gains = {name: tensors[f"{name}.weight"].astype(np.float32) for name in cls.gain_lengths(config)}
        biases = {name: tensors[f"{name}.bias"].astype(np.float32) for name in cls.bias_lengths(config)}
        names = [*config.table_shapes(), *config.matrix_shapes()]
        matrices = {name: Matrix.rounded(tensors[f"{name}.weight"], largest_value(name)) for name in names}
        return cls(config, matrices, gains, biases)

    def save(self, path: str | Path) -> None:
        """Write a safetensors file; the large table of n-grams takes half a byte a value."""
        tensors: dict[str, np.ndarray] = {f"{name}.gain": gain for name, gain in self.gains.items()}
        tensors |= {f"{name}.bias": bias for name, bias in self.biases.items()}
        for name, matrix in self.matrices.items():
            tensors[f"{name}.scale"] = matrix.scale
            if name == "ngrams":
                tensors[f"{name}.nibbles"] = matrix.nibbles
            else:
                tensors[f"{name}.values"] = matrix.values
        Path(path).write_bytes(save({name: np.ascontiguousarray(t) for name, t in sorted(tensors.items())}))

    @classmethod
    def load(cls, path: str | Path, config: NetworkConfig) -> Weights:
        """Read what `save` wrote; anything else raises ValueError."""
        try:
            tensors = load_file(str(path))
        except SafetensorError as error:
            raise ValueError(f"weights: {path}: {error}") from error
        values, nibbles, scales = (
            {n.removesuffix(end): t for n, t in tensors.items() if n.endswith(end)}
            for end in (".values", ".nibbles", ".scale")
        )
        if values.keys() ^ nibbles.keys() != scales.keys():
            raise ValueError(f"weights: {path}: values and scales do not pair up")
        if any(t.dtype != np.uint8 or t.ndim != 2 for t in nibbles.values()):
            raise ValueError(f"weights: {path}: nibbles are not a matrix of bytes")
        matrices = {n: Matrix(v, scales[n]) for n, v in values.items()}
        matrices |= {n: Matrix.from_nibbles(t, scales[n]) for n, t in nibbles.items()}
        gains = {n.removesuffix(".gain"): t for n, t in tensors.items() if n.endswith(".gain")}
        biases = {n.removesuffix(".bias"): t for n, t in tensors.items() if n.endswith(".bias")}
        return cls(config, matrices, gains, biases)
