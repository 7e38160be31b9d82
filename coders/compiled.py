"""How kernels are compiled: once for each user, and again whenever the source of any of them changes.

numba looks only at the file of a kernel itself, so that one which calls a kernel of a changed file would stay as
it was, and compute other integers.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core.compiler_lock import global_compiler_lock
from numba.misc import appdirs

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
def _cache_folder() -> str:
    """Return where compiled kernels are kept: a folder for each state of the sources."""
    package = Path(__file__).parent.parent
    folders = ("coders", "models", "kinds", "lmzip/kinds")  # as they are installed, and in the repository
    sources = sorted(path for folder in folders for path in (package / folder).rglob("*.py"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    return str(Path(_settings.CACHE_DIR or user_cache_dir("lmzip")) / digest[:16])


COMPILING = "compiling for this machine; once after an installation, half a minute"


def compiles_now(folder: str) -> bool:
    """Return whether the kernels of a folder of the sources were never compiled for this user."""
    return not _settings.DISABLE_JIT and not any(Path(_cache_folder()).glob(f"{folder}_*/*.nbi"))


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator that compiles a function, without the GIL and with the division of numpy, and keeps it."""

    def decorate(function: Callable[..., Any]) -> Any:
        usual, _settings.CACHE_DIR = _settings.CACHE_DIR, _cache_folder()
        try:
            return numba.njit(nogil=True, cache=True, error_model="numpy", **options)(function)
        finally:
            _settings.CACHE_DIR = usual

    return decorate
