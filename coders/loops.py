"""How the coders' loops are compiled; without numba they are plain Python, slow and with the same results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

try:
    from .compiled import compiled
except ImportError:

    def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
        """Return a decorator that lets integers wrap without a warning, as they do where they are compiled."""
        return np.errstate(over="ignore")


__all__ = ["compiled"]
