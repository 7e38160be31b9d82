"""Packages that only some uses need, and what installs them."""

from __future__ import annotations

import importlib
import importlib.metadata

DISTRIBUTION = "lmzip-codec"
EXTRAS = {
    "torch": "torch", "gguf": "import", "huggingface_hub": "import", "transformers": "import", "brotli": "report",
    "matplotlib": "report", "rich": "report", "PIL": "image", "soundfile": "audio",
}  # fmt: skip


def has(package: str) -> bool:
    """Return whether a package can be imported; this imports it."""
    try:
        importlib.import_module(package)
    except ImportError:
        return False
    return True


def require(*packages: str, extra: str | None = None) -> None:
    """Import packages of EXTRAS; ImportError where one is missing: it says what installs it.

    extra: the one to name, where it has all that the caller needs; None: the package's own.
    """
    for package in packages:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise ImportError(f"{error}: {remedy(extra or EXTRAS[package])}", name=package) from error


def version(distribution: str) -> str | None:
    """Return the version of what is installed; None where it is not."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def remedy(extra: str) -> str:
    """Return the command that installs an extra."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"
