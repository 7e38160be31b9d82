"""Exact products of integer matrices by torch, with whichever kernel proves itself on this device.

A product takes activations (rows, depth) int8 in [-127, 127] and weights (outputs, depth) int8 in
[-63, 63], prepared once, and gives (rows, outputs): the exact integers, as int32.
"""

from __future__ import annotations

import functools
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from lmzip.models.exact.arithmetic import ACTIVATION_MAX, WEIGHT_MAX

# float32 holds every integer up to 2**24: so many products add up exactly.
FLOAT32_DEPTH = (1 << 24) // (WEIGHT_MAX * ACTIVATION_MAX)


class Product(Protocol):
    """A way to multiply."""

    def prepare(self, weight: Tensor) -> Any:
        """Return the weights in the form that `multiply` takes."""

    def multiply(self, x: Tensor, prepared: Any) -> Tensor:
        """Return x @ weight.T."""


class Int8Product:
    """torch's int8 product: VNNI on the CPU, tensor cores on the GPU."""

    def prepare(self, weight: Tensor) -> Tensor:
        """See Product."""
        return weight.t()

    def multiply(self, x: Tensor, prepared: Tensor) -> Tensor:
        """See Product."""
        rows = x.shape[0]
        if x.is_cuda and rows <= 16:  # cuBLASLt takes no fewer
            x = torch.nn.functional.pad(x, (0, 0, 0, 17 - rows))
        return torch._int_mm(x, prepared)[:rows]


class FloatProduct:
    """A float product in pieces of the depth whose sums stay exact: runs everywhere."""

    def __init__(self, dtype: torch.dtype, depth: int) -> None:
        self.dtype, self.depth = dtype, depth

    def prepare(self, weight: Tensor) -> list[Tensor]:
        """See Product."""
        return [piece.to(self.dtype).t() for piece in weight.split(self.depth, dim=1)]

    def multiply(self, x: Tensor, prepared: list[Tensor]) -> Tensor:
        """See Product."""
        pieces = x.to(self.dtype).split(self.depth, dim=1)
        parts = [(piece @ weight).int() for piece, weight in zip(pieces, prepared, strict=True)]
        return functools.reduce(torch.add, parts)


PRODUCTS: dict[str, Product] = {
    "int8": Int8Product(),
    "float32": FloatProduct(torch.float32, FLOAT32_DEPTH),
    "float64": FloatProduct(torch.float64, 1 << 30),
}


def is_exact(product: Product, device: str = "cpu") -> bool:
    """Multiply known matrices, the extreme ones among them, and compare every integer."""
    rng = np.random.default_rng(0)
    for rows, depth, outputs in ((1, 64, 16), (7, 256, 384), (33, 1024, 64), (64, 2048, 128), (1, 512, 512)):
        x_shape, weight_shape = (rows, depth), (outputs, depth)
        top_x, top_weight = np.full(x_shape, ACTIVATION_MAX), np.full(weight_shape, WEIGHT_MAX)
        signs = np.where(np.arange(depth) % 2, -1, 1)
        cases = [
            (
                rng.integers(-ACTIVATION_MAX, ACTIVATION_MAX + 1, x_shape),
                rng.integers(-WEIGHT_MAX, WEIGHT_MAX + 1, weight_shape),
            ),
            (top_x, top_weight),
            (top_x, -top_weight),
            (top_x * signs, top_weight * signs),
        ]
        for x, weight in cases:
            expected = x.astype(np.float64) @ weight.T.astype(np.float64)  # exact below 2**53
            x8, weight8 = (torch.from_numpy(a.astype(np.int8)).to(device) for a in (x, weight))
            try:
                result = product.multiply(x8, product.prepare(weight8))
            except (RuntimeError, AttributeError):  # this build or device has no such kernel
                return False
            if not np.array_equal(result.cpu().numpy(), expected):
                return False
    return True


@functools.cache
def _is_exact_here(name: str, device: str) -> bool:
    return is_exact(PRODUCTS[name], device)


def best_product(device: str = "cpu") -> str:
    """Return the name of the fastest product that is exact here.

    A product is tried once in a process and device, and only if none before it will do.
    """
    for name in PRODUCTS:
        if _is_exact_here(name, device):
            return name
    raise RuntimeError(f"no exact matrix product on {device}: not even float64 adds up integers here")
