"""The layers of RWKV-4 in plain torch operations. See `torch/rows.py` for the rules that they keep."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from lmzip.models.exact import arithmetic
from lmzip.models.exact.torch.rows import exponential

NO_EXPONENT = float(arithmetic.NO_EXPONENT)


@dataclasses.dataclass
class Recurrence:
    """The state of one layer, replaced by every call. See `cpu.layers.Recurrence` and `cpu.recurrence._recur`."""

    time: Tensor  # (batch, hidden) float32: the normalised inputs of the last position
    channel: Tensor
    numerator: Tensor  # (batch, channels) float32
    denominator: Tensor
    exponent: Tensor

    @classmethod
    def empty(cls, batch: int, hidden: int, channels: int, device: str) -> Recurrence:
        """Return the state before the first position."""
        inputs, sums = torch.zeros(batch, hidden, device=device), torch.zeros(batch, channels, device=device)
        return cls(inputs, inputs, sums, sums, torch.full_like(sums, NO_EXPONENT))


def shift(h: Tensor, previous: Tensor) -> Tensor:
    """Return the row before each of h (batch, steps, hidden); previous: (batch, hidden), the one before the first."""
    return torch.cat((previous[:, None], h[:, :-1]), dim=1)


def mix(h: Tensor, before: Tensor, share: Tensor) -> Tensor:
    """Return rows mixed with the rows before them; share: (hidden,), of the rows themselves."""
    return h * share + before * (1.0 - share)


def recur(state: Recurrence, key: Tensor, value: Tensor, decay: Tensor, bonus: Tensor) -> Tensor:
    """Take positions into the state and return what each reads from it, (batch, steps, channels) like key and value."""
    out = []
    for k, v in zip(key.unbind(1), value.unbind(1), strict=True):
        own = k + bonus
        most = torch.maximum(state.exponent, own)
        a, b = exponential(most - state.exponent), exponential(most - own)
        out.append((a * state.numerator + b * v) / (a * state.denominator + b))
        faded = state.exponent + decay
        most = torch.maximum(faded, k)
        a, b = exponential(most - faded), exponential(most - k)
        state.numerator = a * state.numerator + b * v
        state.denominator = a * state.denominator + b
        state.exponent = most
    return torch.stack(out, dim=1)
