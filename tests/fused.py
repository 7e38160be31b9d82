"""Fused multiply-adds in compiled kernels: they round once where two operations round twice, and give other integers.

Run as a program, in a process of its own with an empty cache, since numba shows no code that it did not compile itself.
"""

from __future__ import annotations

import json
import re
import sys

import llvmlite.binding as llvm
import numba
import numpy as np
from numba.core.dispatcher import Dispatcher

# Processors whose instructions fuse, where they may: the triple, the processor, its features.
TARGETS = {
    "x86-64 with FMA": ("x86_64-unknown-linux-gnu", "haswell", "+avx2,+fma"),
    "x86-64 with AVX-512": ("x86_64-unknown-linux-gnu", "skylake-avx512", ""),
    "AArch64": ("aarch64-unknown-linux-gnu", "generic", "+neon"),
    "AArch64 with SVE": ("aarch64-unknown-linux-gnu", "neoverse-v1", "+sve"),
}
_FUSED = re.compile(r"\bv?fn?m(?:add|sub|la|ls|ad|sb)[0-9a-z]*|\bfnml[as]\b")
_LOOSE = re.compile(
    r"\b(?:fmul|fadd|fsub|fdiv|call)\b[^\n]*\b(?:fast|contract|reassoc|arcp|afn)\b|@llvm\.fm[a-z.]*\.[^\n]*"
)


def fused(assembly: str) -> list[str]:
    """Return the fused instructions of x86-64 or AArch64."""
    return _FUSED.findall(assembly)


def loose(ir: str) -> list[str]:
    """Return what allows a compiler to fuse or to reorder, or asks it to fuse."""
    return _LOOSE.findall(ir)


def compile_for(ir: str, triple: str, processor: str, features: str) -> str:
    """Return the assembly of LLVM's code for a processor."""
    target = llvm.Target.from_triple(triple)
    machine = target.create_target_machine(cpu=processor, features=features, opt=3)
    ir = re.sub(r"^target (?:triple|datalayout) = .*$", "", ir, flags=re.MULTILINE)
    ir = re.sub(r'"target-(?:cpu|features)"="[^"]*"', "", ir)
    # What is done by instructions of this processor alone is done with integers.
    ir = re.sub(r"(%[\w.]+) = (?:tail )?call ([^@(]+) @llvm\.x86\.[^\n]*", r"\1 = freeze \2 poison", ir)
    module = llvm.parse_assembly(f'target triple = "{triple}"\ntarget datalayout = "{machine.target_data}"\n{ir}')
    return machine.emit_assembly(module)


def kernels() -> dict[str, Dispatcher]:
    """Return all functions of lmzip that were compiled in this process."""
    return {
        f"{name}.{key}": value
        for name, module in list(sys.modules.items())
        if name.startswith("lmzip.")
        for key, value in vars(module).items()
        if isinstance(value, Dispatcher) and value.py_func.__module__ == name and value.signatures
    }


def inspect(dispatcher: Dispatcher) -> dict[str, list[str]]:
    """Return what is fused, or may be: by processor."""
    result: dict[str, list[str]] = {"IR": [], "this processor": [], **{name: [] for name in TARGETS}}
    for signature in dispatcher.signatures:
        ir = dispatcher.inspect_llvm(signature)
        result["IR"] += loose(ir)
        result["this processor"] += fused(dispatcher.inspect_asm(signature))
        for name, target in TARGETS.items():
            result[name] += fused(compile_for(ir, *target))
    return result


def control() -> dict[str, list[str]]:
    """Return what `inspect` says of a kernel that may be fused."""

    @numba.njit(fastmath={"contract"})
    def multiply_add(x: np.ndarray, y: np.ndarray) -> None:
        for i in range(len(x)):
            x[i] = x[i] * y[i] + y[i]

    multiply_add(np.ones(9), np.ones(9))
    multiply_add(np.ones(9, np.float32), np.ones(9, np.float32))
    return inspect(multiply_add)


def run_central() -> None:
    """Call a few kernels where most floats are multiplied and added."""
    from lmzip.models.audio import filters, predictions
    from lmzip.models.exact.cpu import kernels, recurrence, rows
    from lmzip.models.exact.cpu.arguments import Norm, Recurrence
    from lmzip.models.mixing import least_squares

    single = [np.ones(16, np.float32) for _ in range(8)]
    table, whole = np.ones((2, 16), np.float32), np.ones((2, 16), np.int32)
    norm = Norm(single[0], single[1], np.float64(1e-5))
    rows.norm_quantise(table, norm, np.float32(127), whole.astype(np.int16), single[2][:2])
    kernels.frequencies(whole, single[0][:2], single[1], np.ones((2, 16), np.uint32))
    recurrence._recur(*single[:5], Recurrence(*[table] * 5), 0)
    sums, double = np.ones((8, 12)), np.ones(12)
    least_squares.accumulate(sums, double, 8, 0.99, 0.01)
    least_squares.solve(sums, double, 8, 1.0, 0.5, 4.0)
    predictions.predict_linear(double, double)
    filters.filter_predict(single[0], np.ones(16 + 4096, np.float32), 5)
    filters.filter_learn(single[0], np.ones(16 + 4096, np.float32), 0.5, 5, 0.5, 0.5, 0.5)


def run_all() -> None:
    """Have all kernels compiled by the self-tests that they must pass."""
    from lmzip.models import audio, image
    from lmzip.models.exact import backends
    from lmzip.models.text import ensemble

    assert image.is_trusted() and audio.is_trusted() and ensemble.is_trusted()
    assert all(backends.is_trusted("cpu", kind) for kind in backends.TRIALS)


def main(what: str) -> None:
    """Print what is fused in each kernel, and in the control, as JSON."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    {"central": run_central, "all": run_all}[what]()
    print(json.dumps({"control": control(), **{name: inspect(kernel) for name, kernel in kernels().items()}}))


if __name__ == "__main__":
    main(sys.argv[1])
