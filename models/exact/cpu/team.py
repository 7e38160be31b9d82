"""Threads that share one call of the kernels: each does its part of the columns and rows, and waits for the others.

A step of a large network reads all weights for a few rows. Threads that split the columns of each product read every
weight once together. They meet several times a layer, which takes them less than a microsecond where each has a
processor.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, attr-defined, call-arg"
# numba infers the types, and its own modules have hardly any hints. An intrinsic gets its context from numba.

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from lmzip.coders.compiled import compiled

CAN_MEET = hasattr(os, "sched_yield") and not numba.config.DISABLE_JIT  # the kernels call it where they wait
_SPINS = 2000  # looks at the barrier before a thread lets others run
# Slots of a barrier: threads that have come to a meeting, meetings that there were, whether a thread has failed.
_COME, _MET, _BROKEN = 0, 1, 2  # slots of a barrier


class Team(NamedTuple):
    """One of the threads that share a call."""

    part: int  # its number, from 0
    parts: int  # threads
    barrier: NDArray[np.int64]  # (3,) by _COME, _MET, _BROKEN; shared by the team

    def give_up(self) -> None:
        """Have no other thread wait for this one any more; what they compute from now on is worth nothing."""
        self.barrier[_BROKEN] = 1


SOLO = Team(0, 1, np.zeros(3, np.int64))


def make_team(parts: int) -> list[Team]:
    """Return the members of a team of so many threads."""
    barrier = np.zeros(3, np.int64)
    return [Team(part, parts, barrier) for part in range(parts)]


@intrinsic
def _meet(typing_context: Any, barrier: Any, parts: Any) -> Any:
    """Wait until all have come: the last one opens the barrier."""

    def generate(context: Any, build: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        number = ir.IntType(64)
        data = context.make_array(signature.args[0])(context, build, arguments[0]).data
        come, met, broken = (build.gep(data, [number(slot)]) for slot in (_COME, _MET, _BROKEN))
        before = build.load_atomic(met, "seq_cst", 8)
        others = build.atomic_rmw("add", come, number(1), "seq_cst")
        is_last = build.icmp_signed("==", build.add(others, number(1)), arguments[1])
        with build.if_else(is_last) as (then, otherwise):
            with then:
                build.store_atomic(number(0), come, "seq_cst", 8)
                build.store_atomic(build.add(before, number(1)), met, "seq_cst", 8)
            with otherwise:
                spins = cgutils.alloca_once_value(build, number(0))
                loop, after = build.append_basic_block("wait"), build.append_basic_block("met")
                build.branch(loop)
                build.position_at_end(loop)
                count = build.add(build.load(spins), number(1))
                build.store(count, spins)
                with build.if_then(build.icmp_signed(">", count, number(_SPINS)), likely=False):
                    give_way = cgutils.get_or_insert_function(
                        build.module, ir.FunctionType(ir.IntType(32), []), "sched_yield"
                    )
                    build.call(give_way, [])
                waits = build.icmp_signed("==", build.load_atomic(met, "seq_cst", 8), before)
                all_work = build.icmp_signed("==", build.load_atomic(broken, "seq_cst", 8), number(0))
                build.cbranch(build.and_(waits, all_work), loop, after)
                build.position_at_end(after)
        return context.get_dummy_value()

    return types.void(barrier, types.int64), generate


@compiled(forceinline=True)
def meet(team):
    """Wait for the other threads of a team: what they wrote before can be read afterwards."""
    if team.parts > 1:
        _meet(team.barrier, np.int64(team.parts))


@compiled(forceinline=True)
def share_of(team, count):
    """Return the part of 0 .. count - 1 that a thread does: its first, and the one behind its last."""
    return count * team.part // team.parts, count * (team.part + 1) // team.parts
