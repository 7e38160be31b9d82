"""How the kernels of the ensemble are compiled, and the hash that they share."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

_options: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy"}
kernel = numba.njit(**_options)
inline = numba.njit(**_options, inline="always")

u8, u16, u32, i32, i64 = np.uint8, np.uint16, np.uint32, np.int32, np.int64


@inline
def combine(h, value):
    """Return the hash, uint32, of a hash and one more integer."""
    h = u32(u32(h) + u32(value) + u32(1)) * u32(0x2C1B3C6D)
    h = u32(u32(h) ^ (u32(h) >> u32(13))) * u32(0x297A2D39)
    return u32(u32(h) ^ (u32(h) >> u32(15)))
