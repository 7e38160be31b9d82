"""How kernels are compiled: once for each user, and again whenever the source of any of them changes.

numba's own cache looks only at the file of a kernel itself, so that one which calls a kernel of a changed file would
stay as it was, and compute other integers. It also needs a folder, which not every process has (`kernel_store.py`).
"""

from __future__ import annotations

import functools
import hashlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
from llvmlite import binding
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.compiler_lock import global_compiler_lock
from numba.core.serialize import dumps
from numba.misc import appdirs

from lmzip.coders.kernel_store import KernelStore

COMPILING = "compiling for this machine; once after an installation, half a minute"

_settings: Any = numba.config
user_cache_dir: Callable[[str], str] = appdirs.user_cache_dir

if hasattr(os, "register_at_fork"):  # not on Windows
    # A fork waits for a kernel that another thread compiles: the child would find LLVM half way and wait for ever.
    os.register_at_fork(
        before=global_compiler_lock.acquire,
        after_in_parent=global_compiler_lock.release,
        after_in_child=global_compiler_lock.release,
    )


@functools.cache
def _store() -> KernelStore:
    """Return where the kernels of this state of the sources, of these versions and for this processor are kept."""
    package = Path(__file__).parent.parent
    folders = ("coders", "models", "formats", "lmzip/formats")  # as they are installed, and in the repository
    sources = sorted(path for folder in folders for path in (package / folder).rglob("*.py"))
    environment = (numba.__version__, np.__version__, _settings.CPU_NAME, _settings.CPU_FEATURES, *_processor())
    digest = hashlib.sha256(repr(environment).encode() + b"".join(path.read_bytes() for path in sources)).hexdigest()
    chosen = _settings.CACHE_DIR and os.path.abspath(_settings.CACHE_DIR)
    return KernelStore(Path(chosen or user_cache_dir("lmzip")), digest[:16])


def _processor() -> tuple[str, str]:
    try:
        return binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten()
    except RuntimeError:  # llvmlite knows no features of this processor
        return binding.get_host_cpu_name(), ""


_said: set[str] = set()


def announce(folder: str, notify: Callable[[str], None] | None) -> None:
    """Tell that the kernels of a folder of the sources will be compiled, if they were never for this user."""
    if notify is not None and not _settings.DISABLE_JIT and not _store().holds(folder):
        notify(COMPILING)
        tell_trouble(notify)


def tell_trouble(notify: Callable[[str], None] | None) -> None:
    """Tell, once in a process, why compiled kernels cannot be kept, if they cannot."""
    trouble = None if _settings.DISABLE_JIT else _store().trouble
    if notify is not None and trouble is not None and trouble not in _said:
        _said.add(trouble)
        notify(trouble)


class _Cache(NullCache):
    """What numba asks for a kernel's code before it compiles it, and gives the code afterwards."""

    def __init__(self, function: Callable[..., Any]) -> None:
        package, _, module = function.__module__.rpartition(".")
        self._folder = package.rpartition(".")[2]
        self._name = f"{module}.{function.__qualname__}-{function.__code__.co_firstlineno}"

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the kept result of compiling for a signature, or None."""
        target_context.refresh()
        data = _store().read(self._folder, self._file(sig, target_context.codegen()))
        return None if data is None else CompileResult._rebuild(target_context, *pickle.loads(data))

    def save_overload(self, sig: Any, cres: Any) -> None:
        """Keep the result of compiling for a signature, unless it holds addresses of this process."""
        if not cres.library.has_dynamic_globals:
            _store().write(self._folder, self._file(sig, cres.library.codegen), dumps(cres._reduce()))

    def _file(self, sig: Any, codegen: Any) -> str:
        key = repr((sig, codegen.magic_tuple())).encode()
        return f"{self._name}-{hashlib.sha256(key).hexdigest()[:16]}"


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator that compiles a function, without the GIL and with the division of numpy, and keeps it.

    The function must have no closure: what is in one decides what it computes, and is not in any source.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        if function.__closure__:
            raise ValueError(f"{function.__qualname__}: a kernel with a closure")
        kernel = numba.njit(nogil=True, error_model="numpy", **options)(function)
        if not _settings.DISABLE_JIT:
            kernel._cache = _Cache(function)
        return kernel

    return decorate
