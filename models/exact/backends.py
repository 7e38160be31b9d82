"""Choosing an engine that proves itself on this machine."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable

from lmzip.coders.compiled import announce, tell_trouble
from lmzip.models.exact.cpu.engine import CPUEngine
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
from lmzip.models.extras import has, require


def _torch_engine(weights: Weights, device: str) -> Engine:
    require("torch")
    from lmzip.models.exact.torch.engine import TorchEngine

    return TorchEngine(weights, device)


STANDS_IN = (
    "the backend cpu does not compute exactly on this machine, so torch is used, which is slower; the files are the "
    "same. Please report this with the output of `lmzip models info`"
)
_warned = False

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


def _warn(notify: Callable[[str], None] | None) -> None:
    """Tell, once in a process, that torch stands in for the CPU's kernels."""
    global _warned
    if not _warned:
        _warned = True
        if notify is None:
            warnings.warn(STANDS_IN, RuntimeWarning, stacklevel=3)
        else:
            notify(STANDS_IN)


def make_engine(
    weights: Weights, backend: str | None = None, notify: Callable[[str], None] | None = None
) -> tuple[str, Engine]:
    """Return the name of a trusted backend and an engine of it.

    backend: a name from BACKENDS; None: cpu, and where it is not trusted torch, with a warning (by `notify` if given).
    notify: told when something takes long, and where compiled code cannot be kept.
    Raises ValueError for an unknown backend, ImportError where its package is missing, and RuntimeError where none
    computes exactly.
    """
    if backend is not None and backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, not {backend!r}")
    if backend in (None, "cpu"):
        announce("cpu", notify)
    name, kind = backend or "cpu", weights.config.kind
    trusted = is_trusted(name, kind)
    tell_trouble(notify)
    if not trusted and backend is None and has("torch") and is_trusted("torch", kind):
        name, trusted = "torch", True
        _warn(notify)
    if trusted:
        return name, without_end(BACKENDS[name](weights))
    raise RuntimeError(
        f"the backend {backend or 'cpu'} does not compute exactly on this machine: its self-test gives other "
        "integers than everywhere else. Nothing was coded. Please report this with the output of `lmzip models info`"
    )
