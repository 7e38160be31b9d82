"""Choosing an engine that proves itself on this machine."""

from __future__ import annotations

import functools
from collections.abc import Callable

from lmzip.coders.compiled import COMPILING, compiles_now
from lmzip.models.exact.cpu_engine import CPUEngine
from lmzip.models.exact.engine import (
    IMPORTED_DIGEST,
    RECURRENT_DIGEST,
    REFERENCE_DIGEST,
    Engine,
    imported_networks,
    recurrent_networks,
    reference_digest,
    reference_network,
)
from lmzip.models.exact.rereading import RereadingEngine
from lmzip.models.exact.weights import Weights


def _torch_engine(weights: Weights, device: str) -> Engine:
    from lmzip.models.exact.torch_engine import TorchEngine  # torch takes seconds to import

    return TorchEngine(weights, device)


# In the order of preference; "cuda" is used only where it is asked for.
BACKENDS: dict[str, Callable[[Weights], Engine]] = {
    "cpu": CPUEngine,
    "torch": lambda weights: _torch_engine(weights, "cpu"),
    "cuda": lambda weights: _torch_engine(weights, "cuda"),
}


def without_end(engine: Engine) -> Engine:
    """Return an engine whose windows have no end: where the positions have one, they are read again."""
    return RereadingEngine(engine) if engine.config.context else engine


# Small networks that a backend evaluates before others of their kind, and the hash of what it must find.
TRIALS: dict[str, tuple[Callable[[], list[Weights]], str]] = {
    "plain": (lambda: [reference_network()], REFERENCE_DIGEST),
    "imported": (imported_networks, IMPORTED_DIGEST),
    "recurrent": (recurrent_networks, RECURRENT_DIGEST),
}


@functools.cache
def is_trusted(backend: str, kind: str = "plain") -> bool:
    """Evaluate the networks of TRIALS and compare every frequency; done once in a process.

    kind: see NetworkConfig.kind; the plain network is evaluated first.
    """
    if kind != "plain" and not is_trusted(backend):
        return False
    make, digest = TRIALS[kind]
    return reference_digest(*(without_end(BACKENDS[backend](weights)) for weights in make())) == digest


def make_engine(
    weights: Weights, backend: str | None = None, notify: Callable[[str], None] | None = None
) -> tuple[str, Engine]:
    """Return the name of a trusted backend and an engine of it.

    backend: a name from BACKENDS; None: the first of cpu and torch that is trusted.
    notify: told when something takes long.
    Raises ValueError for an unknown backend and RuntimeError where none computes exactly.
    """
    if backend is not None and backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, not {backend!r}")
    if backend in (None, "cpu") and notify is not None and compiles_now("exact"):
        notify(COMPILING)
    for name in [backend] if backend else ["cpu", "torch"]:
        if is_trusted(name, weights.config.kind):
            return name, without_end(BACKENDS[name](weights))
    raise RuntimeError(
        f"the backend {backend or 'cpu'} does not compute exactly on this machine: its self-test gives other "
        "integers than everywhere else. Nothing was coded. Please report this with the output of `lmzip models info`"
    )
