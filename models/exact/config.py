"""The shape of a decoder-only network, in the key names of Hugging Face's `config.json`."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from lmzip.models.exact.arithmetic import ACTIVATION_MAX, WIDE_MAX, WINDOW_LIMIT, wide_max
from lmzip.models.exact.rope import Scaling

ACTIVATIONS = ("silu", "gelu_tanh")
NORMS = ("rms", "layer")
POSITIONS = ("rope", "learned", "none")
MIXERS = ("attention", "rwkv4")
PROJECTIONS = ("qkv", "out", "gate_up", "down")
# Within these sizes, and the limits of the numbers in `weights.py`, sums of integers fit 32 bits and no float32 of the
# evaluation overflows: so none is infinite, and none is not a number, whatever the weights.
LARGEST = {"hidden_size": 1 << 16, "intermediate_size": 1 << 18, "num_hidden_layers": 1 << 10}
TIME = ("time_key", "time_value", "time_receptance")  # projections of inputs that are mixed with the ones before
CHANNEL = ("channel_key", "channel_receptance")


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """A transformer with grouped-query attention, such as Llama, Qwen, GPT-2 and Gemma 3, or a recurrent RWKV-4.

    vocab_size symbols are predicted. The input embedding has two more rows, the marks that
    stand before the first symbol of a window: `file_start` where the file begins, `cut_start`
    anywhere else.
    """

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    sliding_window: int  # positions that a query sees, its own among them
    rope_theta: float = 10000.0
    rms_norm_eps: float = 1e-5  # of all norms
    qk_norm: bool = False
    tie_word_embeddings: bool = True
    ngram_rows: int = 0  # of the table of pairs and triples of symbols, a power of 2; 0: none
    # What follows imported networks have; `to_json` leaves out what is as here.
    hidden_act: str = "silu"  # one of ACTIVATIONS
    gated: bool = True  # the activation is multiplied with a projection of its own
    norm: str = "rms"  # one of NORMS: layer norms subtract the mean and have a bias
    positions: str = "rope"  # one of POSITIONS
    rope_scaling: Scaling = ()
    biases: tuple[str, ...] = ()  # of PROJECTIONS, those that have one in every layer
    context: int = 0  # positions there are; 0: no end. At the end a window is read again
    reread: int = 0  # symbols that are read again, less than context
    wide: tuple[str, ...] = ()  # activations of more than 8 bits: `head`, `layers.0.qkv`, `layers.0.key` ...
    mixer: str = "attention"  # one of MIXERS: how a position learns of others; RWKV-4 has one head of all its channels
    post_norms: bool = False  # what attention and feed-forward give is normalised before it is added
    local_layers: tuple[int, ...] = ()  # which see `local_window` positions, in a RoPE of their own that is not scaled
    local_window: int = 0
    local_rope_theta: float = 10000.0

    def __post_init__(self) -> None:
        sizes = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                 "num_key_value_heads", "head_dim", "sliding_window")  # fmt: skip
        for name in sizes:
            largest = LARGEST.get(name, (1 << 24) - 1)
            if not 1 <= getattr(self, name) <= largest:
                raise ValueError(f"{name} must be 1 to {largest}, not {getattr(self, name)}")
        if self.num_attention_heads * self.head_dim > LARGEST["intermediate_size"]:
            raise ValueError(f"heads of {LARGEST['intermediate_size']} values at most in all")
        if self.sliding_window > WINDOW_LIMIT:
            raise ValueError(f"sliding_window must be at most {WINDOW_LIMIT}, not {self.sliding_window}")
        if not 2.0**-40 <= self.rms_norm_eps <= 1:
            raise ValueError(f"rms_norm_eps must be 2**-40 to 1, not {self.rms_norm_eps}")
        if not 1 <= self.rope_theta <= 1e12:
            raise ValueError(f"rope_theta must be 1 to 1e12, not {self.rope_theta}")
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError("num_attention_heads must be a multiple of num_key_value_heads")
        if self.head_dim % 2:
            raise ValueError("head_dim must be even")
        self._check_options()

    def _check_options(self) -> None:
        if not 0 <= self.ngram_rows <= 1 << 24 or self.ngram_rows & (self.ngram_rows - 1):
            raise ValueError(f"ngram_rows must be 0 or a power of 2 up to 2**24, not {self.ngram_rows}")
        options = {"hidden_act": ACTIVATIONS, "norm": NORMS, "positions": POSITIONS, "mixer": MIXERS}
        for name, known in options.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, not {getattr(self, name)!r}")
        if self.is_recurrent != (self.positions == "none"):
            raise ValueError("recurrent networks have the positions none, and no others have")
        if self.is_recurrent and (self.norm != "layer" or self.biases or self.num_attention_heads != 1):
            raise ValueError("recurrent networks have layer norms, one head, and no biases")
        if self.norm == "layer" and (self.qk_norm or self.hidden_size >= 1 << 16):
            raise ValueError("layer norms are for networks without qk_norm and with a hidden_size below 2**16")
        if self.post_norms and self.norm != "rms":
            raise ValueError("post_norms are RMS norms, for networks that have these")
        self._check_local_layers()
        if self.context and not 2 <= self.sliding_window <= self.context < 1 << 16:
            raise ValueError(f"context must be sliding_window to 2**16 - 1, not {self.context}")
        if not 0 <= self.reread < max(self.context, 1):
            raise ValueError(f"reread must be less than context, not {self.reread}")
        if self.positions == "learned" and not self.context:
            raise ValueError("learned positions need a context")
        if self.rope_scaling and not _is_scaling(self.rope_scaling):
            raise ValueError(
                f"rope_scaling must be linear or llama3 with factors of at least 1, not {self.rope_scaling}"
            )
        for what, names, allowed in (
            ("biases", self.biases, set(PROJECTIONS)),
            ("wide", self.wide, set(self.product_names())),
        ):
            if not set(names) <= allowed or len(set(names)) < len(names):
                raise ValueError(f"{what} has a name twice or one that the network lacks: {', '.join(names)}")

    def _check_local_layers(self) -> None:
        layers = self.local_layers
        if not set(layers) <= set(range(self.num_hidden_layers)) or len(set(layers)) < len(layers):
            raise ValueError(f"local_layers has a layer twice or one that the network lacks: {layers}")
        if layers and self.positions != "rope":
            raise ValueError("local_layers are for networks with RoPE")
        if not bool(layers) <= self.local_window <= bool(layers) * self.sliding_window:
            raise ValueError("local_window must be 1 to sliding_window, and 0 without local layers")
        if not 1 <= self.local_rope_theta <= 1e12:
            raise ValueError(f"local_rope_theta must be 1 to 1e12, not {self.local_rope_theta}")

    @property
    def file_start(self) -> int:
        """Id of the mark before a file's first symbol."""
        return self.vocab_size

    @property
    def cut_start(self) -> int:
        """Id of the mark before a window that begins inside a file."""
        return self.vocab_size + 1

    @property
    def qkv_rows(self) -> int:
        """Rows of the joined query, key and value projection."""
        return (self.num_attention_heads + 2 * self.num_key_value_heads) * self.head_dim

    @property
    def kind(self) -> str:
        """`plain` for networks that need nothing but what the shipped ones do, `imported` for more, or `recurrent`."""
        if self.is_recurrent:
            return "recurrent"
        return "plain" if all(getattr(self, field.name) == field.default for field in _OPTIONS) else "imported"

    @property
    def is_recurrent(self) -> bool:
        """Whether windows remember a state of one size instead of keys and values."""
        return self.mixer == "rwkv4"

    def window(self, layer: int) -> int:
        """Return the positions that a query of a layer sees, its own among them."""
        return self.local_window if layer in self.local_layers else self.sliding_window

    def capacity(self, steps: int, layer: int) -> int:
        """Return the positions of a layer's keys and values to keep for calls of up to `steps`."""
        return min(self.window(layer) + steps - 1, self.context or 1 << 30)

    def window_bytes(self, steps: int) -> int:
        """Return the bytes of what a window remembers, keys and values for calls of up to `steps` or the state."""
        if self.is_recurrent:
            return self.num_hidden_layers * 4 * (2 * self.hidden_size + 3 * self.head_dim)
        total = 0
        for i in range(self.num_hidden_layers):
            wide_key = f"layers.{i}.key" in self.wide
            total += (2 * (self.head_dim + 4) + wide_key * self.head_dim) * self.capacity(steps, i)
        return total * self.num_key_value_heads

    def matrix_shapes(self) -> dict[str, tuple[int, int]]:
        """Name to (outputs, inputs) of every weight matrix but the embeddings."""
        d, f = self.hidden_size, self.intermediate_size
        heads = self.num_attention_heads * self.head_dim
        if self.is_recurrent:
            layer = {**dict.fromkeys(TIME, (heads, d)), "out": (d, heads)}
            layer |= {"channel_key": (f, d), "channel_receptance": (d, d), "down": (d, f)}
        else:
            layer = {
                "qkv": (self.qkv_rows, d),
                "out": (d, heads),
                "gate_up": (2 * f if self.gated else f, d),
                "down": (d, f),
            }
        shapes = {f"layers.{i}.{name}": shape for i in range(self.num_hidden_layers) for name, shape in layer.items()}
        if not self.tie_word_embeddings:
            shapes["head"] = (self.vocab_size, d)
        return shapes

    def table_shapes(self) -> dict[str, tuple[int, int]]:
        """Name to (rows, hidden_size) of the embeddings."""
        shapes = {"embedding": (self.vocab_size + 2, self.hidden_size)}
        if self.ngram_rows:
            shapes["ngrams"] = (self.ngram_rows, self.hidden_size)
        return shapes | {"positions": (self.context, self.hidden_size)} if self.positions == "learned" else shapes

    @property
    def products_per_symbol(self) -> int:
        """Return how many products of weights and activations a symbol takes, without the attention."""
        head = self.vocab_size * self.hidden_size if self.tie_word_embeddings else 0
        return head + sum(rows * columns for rows, columns in self.matrix_shapes().values())

    def product_names(self) -> list[str]:
        """Return the names of the activations that `wide` may have: of the matrices and the head, queries and keys."""
        attention = ("qkv", "query", "key", "out", "gate_up", "down")
        kinds = (*TIME, "out", *CHANNEL, "down") if self.is_recurrent else attention
        return [*(f"layers.{i}.{kind}" for i in range(self.num_hidden_layers) for kind in kinds), "head"]

    def largest(self, name: str) -> int:
        """Return the largest integer of the activations of a product, see `product_names`."""
        if name not in self.wide:
            return ACTIVATION_MAX
        layer, _, kind = name.rpartition(".")
        if kind == "key":
            return WIDE_MAX
        if kind == "query":
            return wide_max(self.head_dim, self.largest(f"{layer}.key"))
        return wide_max(self.hidden_size if name == "head" else self.matrix_shapes()[name][1])

    def to_json(self) -> str:
        """Return the config as JSON with sorted keys."""
        values = dataclasses.asdict(self)
        for field in (_NGRAMS, *_OPTIONS):
            if values[field.name] == field.default:
                del values[field.name]
        return json.dumps(values, indent=1, sort_keys=True)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> NetworkConfig:
        """Make a config from the keys it knows; unknown keys raise TypeError."""
        values = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
        return cls(**values)


_fields = dataclasses.fields(NetworkConfig)
_NGRAMS = next(field for field in _fields if field.name == "ngram_rows")
_OPTIONS = _fields[next(i for i, field in enumerate(_fields) if field.name == "hidden_act") :]


def _is_scaling(scaling: Scaling) -> bool:
    kind, *numbers = scaling
    if not all(isinstance(value, int | float) and 0 < value < 1 << 32 for value in numbers):
        return False
    if kind == "linear":
        return len(numbers) == 1 and numbers[0] >= 1  # type: ignore[operator]
    return kind == "llama3" and len(numbers) == 4 and numbers[0] >= 1 and numbers[1] < numbers[2]  # type: ignore[operator]
