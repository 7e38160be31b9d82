"""Exact products of small integers on the CPU: for weights, keys and values.

The right factor is stored in panels, int8 (panels, depth / 2, 2 * LANES): a panel holds LANES columns, a row
of it two consecutive depths of every column, side by side. A tile multiplies some rows of int16 with one panel
and keeps all sums in registers. LLVM turns its multiplications into `vpmaddwd` (`vpdpwssd` with VNNI) on x86,
and into what other processors have; none of them saturates, so the sums are exact while they fit int32.

Where the processor has `vpdpbusd`, which multiplies four unsigned bytes with four signed ones, matrices whose left
factor has 8 bits lie in quads instead: four consecutive depths of every column side by side. The left factor is
taken as unsigned (x + 128), and a last row of the panel has what the sums must begin with, -128 times the column's.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, attr-defined"
# numba infers the types, and its own modules have hardly any hints.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from lmzip.coders.compiled import compiled
from lmzip.models.exact.cpu.team import share_of

LANES = 32  # columns of a panel
_VECTOR = 16  # sums in one LLVM vector


def _tile_rows() -> int:
    """Return the rows of a large tile: as many as leave registers for more than its sums, a matter of speed only."""
    try:
        return 4 if binding.get_host_cpu_features().get("avx512bw") else 2  # 8 of 32 registers, or 8 of 16
    except RuntimeError:  # llvmlite knows no features of this processor
        return 2


def _has_quads() -> bool:
    """Return whether the code that numba makes may use AVX-512 VNNI; the same products otherwise, slower."""
    if numba.config.DISABLE_JIT:
        return False
    if numba.config.CPU_NAME or numba.config.CPU_FEATURES:  # made for another processor
        return "+avx512vnni" in (numba.config.CPU_FEATURES or "")
    try:
        return bool(binding.get_host_cpu_features().get("avx512vnni"))
    except RuntimeError:
        return False


TILE = _tile_rows()
QUADS = _has_quads()


def padded(count: int) -> int:
    """Return the columns of the panels that hold `count` columns."""
    return -(-count // LANES) * LANES


def pack(matrix: NDArray[np.int8]) -> NDArray[np.int8]:
    """Lay out a matrix (columns, depth) in panels; what is missing to full panels and pairs is 0."""
    columns, depth = matrix.shape
    whole = np.zeros((padded(columns), depth + depth % 2), np.int8)
    whole[:columns, :depth] = matrix
    pairs = whole.reshape(-1, LANES, whole.shape[1] // 2, 2).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(pairs).reshape(len(pairs), -1, 2 * LANES)


def pack_bytes(matrix: NDArray[np.int8]) -> NDArray[np.int8]:
    """Lay out a matrix (columns, depth) whose left factor has 8 bits, [-128, 127]: in quads if that is faster here."""
    if not QUADS:
        return pack(matrix)
    columns, depth = matrix.shape
    whole = np.zeros((padded(columns), -(-depth // 4) * 4), np.int8)
    whole[:columns, :depth] = matrix
    quads = whole.reshape(-1, LANES, whole.shape[1] // 4, 4).transpose(0, 2, 1, 3).reshape(len(whole) // LANES, -1)
    starts = (-128 * whole.sum(axis=1, dtype=np.int32)).reshape(-1, LANES)
    joined = np.concatenate((quads, starts.view(np.int8)), axis=1)
    return joined.reshape(len(quads), -1, 4 * LANES)


def _make_quad_tile(rows: int) -> Callable[..., Any]:
    """Make tile(a, row, b, panel, y), as `_make_tile` does, for a (rows, depth) uint8 and b in quads."""

    def tile(typing_context: Any, a: Any, row: Any, b: Any, panel: Any, y: Any) -> Any:
        return types.void(a, types.intp, b, types.intp, y), generate

    def generate(context: Any, build: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        word, index = ir.IntType(32), ir.IntType(64)
        a, b, y = (context.make_array(signature.args[i])(context, build, arguments[i]) for i in (0, 2, 4))
        depth = cgutils.unpack_tuple(build, a.shape)[1]
        stride = build.mul(cgutils.unpack_tuple(build, b.shape)[1], index(4 * LANES))
        columns = cgutils.unpack_tuple(build, y.shape)[1]
        sums = ir.VectorType(word, _VECTOR)
        dot_type = ir.FunctionType(sums, [sums, sums, sums])
        dot = cgutils.get_or_insert_function(build.module, dot_type, "llvm.x86.avx512.vpdpbusd.512")

        def load(start: ir.Value, offset: ir.Value, kind: ir.Type) -> ir.Value:
            return build.load(build.bitcast(build.gep(start, [offset]), kind.as_pointer()), align=1)

        starts = [build.gep(a.data, [build.mul(build.add(arguments[1], index(r)), depth)]) for r in range(rows)]
        start = build.gep(b.data, [build.mul(arguments[3], stride)])
        parts = range(0, LANES, _VECTOR)
        last = build.mul(depth, index(LANES))
        first = {c: load(start, build.add(last, index(4 * c)), sums) for c in parts}
        before = build.block
        loop, after = build.append_basic_block("quads"), build.append_basic_block("quads.end")
        build.branch(loop)

        build.position_at_end(loop)
        k = build.phi(index)  # a multiple of four
        old = {(r, c): build.phi(sums) for r in range(rows) for c in parts}
        new = {}
        line = build.mul(k, index(LANES))
        right = {c: load(start, build.add(line, index(4 * c)), sums) for c in parts}
        for r in range(rows):
            quads = build.insert_element(ir.Constant(sums, ir.Undefined), load(starts[r], k, word), word(0))
            quads = build.shuffle_vector(quads, quads, ir.Constant(sums, None))
            for c in parts:
                new[r, c] = build.call(dot, [old[r, c], quads, right[c]])
        following = build.add(k, index(4))
        k.add_incoming(index(0), before)
        k.add_incoming(following, loop)
        for (r, c), phi in old.items():
            phi.add_incoming(first[c], before)
            phi.add_incoming(new[r, c], loop)
        build.cbranch(build.icmp_signed("<", following, depth), loop, after)

        build.position_at_end(after)
        for (r, c), value in new.items():
            place = build.mul(build.add(arguments[1], index(r)), columns)
            place = build.add(place, build.add(build.mul(arguments[3], index(LANES)), index(c)))
            build.store(value, build.bitcast(build.gep(y.data, [place]), sums.as_pointer()), align=4)
        return context.get_dummy_value()

    return intrinsic(tile)


def _make_tile(rows: int) -> Callable[..., Any]:
    """Make tile(a, row, b, panel, y): y[row : row + rows, the panel's columns] = a[row : row + rows] @ panel.

    a: (rows, depth) int16, depth even; b: (panels, at least depth / 2, 2 * LANES) int8;
    y: (rows, at least the panel's columns) int32; all contiguous.
    """

    def tile(typing_context: Any, a: Any, row: Any, b: Any, panel: Any, y: Any) -> Any:
        return types.void(a, types.intp, b, types.intp, y), generate

    def generate(context: Any, build: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        byte, short, word, index = (ir.IntType(bits) for bits in (8, 16, 32, 64))
        a, b, y = (context.make_array(signature.args[i])(context, build, arguments[i]) for i in (0, 2, 4))
        depth = cgutils.unpack_tuple(build, a.shape)[1]
        stride = build.mul(cgutils.unpack_tuple(build, b.shape)[1], index(2 * LANES))
        columns = cgutils.unpack_tuple(build, y.shape)[1]
        sums, bytes_, shorts, words = (
            ir.VectorType(kind, count)
            for kind, count in ((word, _VECTOR), (byte, 2 * _VECTOR), (short, 2 * _VECTOR), (word, 2 * _VECTOR))
        )

        def address(start: ir.Value, offset: ir.Value, kind: ir.Type) -> ir.Value:
            return build.bitcast(build.gep(start, [offset]), kind.as_pointer())

        def every_second(first: int) -> ir.Constant:
            return ir.Constant(ir.VectorType(word, _VECTOR), list(range(first, 2 * _VECTOR, 2)))

        starts = [build.gep(a.data, [build.mul(build.add(arguments[1], index(r)), depth)]) for r in range(rows)]
        start = build.gep(b.data, [build.mul(arguments[3], stride)])
        parts = range(0, LANES, _VECTOR)
        before = build.block
        loop, after = build.append_basic_block("tile"), build.append_basic_block("tile.end")
        build.branch(loop)

        build.position_at_end(loop)
        k = build.phi(index)  # an even depth
        old = {(r, c): build.phi(sums) for r in range(rows) for c in parts}
        new = {}
        line = build.mul(k, index(LANES))
        right = {
            c: build.sext(build.load(address(start, build.add(line, index(2 * c)), bytes_), align=1), words)
            for c in parts
        }
        for r in range(rows):
            pair = build.load(address(starts[r], k, word), align=2)
            pairs = build.insert_element(ir.Constant(sums, ir.Undefined), pair, word(0))
            pairs = build.shuffle_vector(pairs, pairs, ir.Constant(sums, None))
            left = build.sext(build.bitcast(pairs, shorts), words)
            for c in parts:
                products = build.mul(left, right[c])
                even, odd = (build.shuffle_vector(products, products, every_second(i)) for i in (0, 1))
                new[r, c] = build.add(old[r, c], build.add(even, odd))
        following = build.add(k, index(2))
        k.add_incoming(index(0), before)
        k.add_incoming(following, loop)
        for place, phi in old.items():
            phi.add_incoming(ir.Constant(sums, None), before)
            phi.add_incoming(new[place], loop)
        build.cbranch(build.icmp_signed("<", following, depth), loop, after)

        build.position_at_end(after)
        for (r, c), value in new.items():
            place = build.mul(build.add(arguments[1], index(r)), columns)
            place = build.add(place, build.add(build.mul(arguments[3], index(LANES)), index(c)))
            build.store(value, address(y.data, place, sums), align=4)
        return context.get_dummy_value()

    def tile_in_numpy(a: Any, row: int, b: Any, panel: int, y: Any) -> None:
        """Do the same where numba compiles nothing (NUMBA_DISABLE_JIT)."""
        pairs = a[row : row + rows].reshape(rows, -1, 2).astype(np.int32)
        right = b[panel, : pairs.shape[1]].reshape(-1, LANES, 2)
        y[row : row + rows, panel * LANES : (panel + 1) * LANES] = np.einsum("rki,kci->rc", pairs, right)

    return tile_in_numpy if numba.config.DISABLE_JIT else intrinsic(tile)


_large_tile, _small_tile = _make_tile(TILE), _make_tile(1)
_large_quad_tile, _small_quad_tile = _make_quad_tile(TILE), _make_quad_tile(1)


@compiled()
def product(a, b, y):
    """Write the product of a (rows, depth) int16 with the columns of b to y (rows, columns) int32.

    depth is even; b: panels of at least that depth; columns: those of the panels to use.
    """
    rows = a.shape[0]
    for panel in range(y.shape[1] // LANES):
        row = 0
        while row + TILE <= rows:
            _large_tile(a, row, b, panel, y)
            row += TILE
        while row < rows:
            _small_tile(a, row, b, panel, y)
            row += 1


@compiled()
def weight_product(a, b, y, team):
    """Write a thread's columns of the product of a (rows, depth) int16 with b, from `pack` or `pack_bytes`, to y.

    y: (rows, columns) int32, as in `product`.
    """
    rows = a.shape[0]
    first, end = share_of(team, y.shape[1] // LANES)
    if not QUADS or b.shape[2] == 2 * LANES:
        for panel in range(first, end):
            row = 0
            while row + TILE <= rows:
                _large_tile(a, row, b, panel, y)
                row += TILE
            while row < rows:
                _small_tile(a, row, b, panel, y)
                row += 1
    else:
        unsigned = np.empty(a.shape, np.uint8)
        for row in range(rows):
            for i in range(a.shape[1]):
                unsigned[row, i] = np.uint8(a[row, i] + 128)
        for panel in range(first, end):
            row = 0
            while row + TILE <= rows:
                _large_quad_tile(unsigned, row, b, panel, y)
                row += TILE
            while row < rows:
                _small_quad_tile(unsigned, row, b, panel, y)
                row += 1
