# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""How the kernels of the models are compiled, their integer types, and the hash that they share."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from lmzip.coders.compiled import compiled

# Without _nrt every view of an array counts its references, atomically: a quarter of the time.
kernel = compiled(_nrt=False)
inline = compiled(_nrt=False, forceinline=True)
once = compiled(_nrt=False, inline="always")  # what one kernel calls in one place: not compiled by itself

u32, u64, i32, i64 = np.uint32, np.uint64, np.int32, np.int64


@inline
def combine(h, value):
    """Return the hash, uint32, of two integers, the first of which may be a hash."""
    h = u32(u32(h) * u32(0x9E3779B1) + u32(value) + u32(1)) * u32(0x2C1B3C6D)
    h = u32(u32(h) ^ (u32(h) >> u32(13))) * u32(0x297A2D39)
    return u32(u32(h) ^ (u32(h) >> u32(15)))


@intrinsic
def prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    """Have the cache line of array[index] fetched, without waiting for it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [address.type, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [address.type], kind)
        builder.call(function, [address, number(1), number(3), number(1)])  # to write, keep, data
        return context.get_dummy_value()

    return types.void(array, types.int64), generate
