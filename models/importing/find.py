"""Finding the SOURCE that a user names: a folder, a file, an installed package, or a model on the hub."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from lmzip.models.importing.folder import FolderSource, fetch
from lmzip.models.importing.gguf.source import GGUFSource, from_file, from_package, from_wheel
from lmzip.models.importing.source import Source


def find_source(text: str) -> Source:
    """Find SOURCE: a folder, a GGUF, a wheel or an installed package with a GGUF, or OWNER/NAME@REVISION on the hub.

    A split GGUF is found by its first file. What is missing of a model on the hub is fetched. Raises ValueError
    where the model cannot be had, ImportError without the packages that this takes.
    """
    path = Path(text)
    if path.is_dir():
        return _in_folder(path)
    if path.is_file():
        return from_wheel(path) if path.suffix == ".whl" else from_file(path)
    package = text.replace("-", "_")  # as pip spells it
    if package.isidentifier() and importlib.util.find_spec(package) is not None:
        return from_package(package)
    name, _, revision = text.partition("@")
    if name.count("/") != 1 or name.startswith((".", "/", "~")) or name.endswith("/"):
        raise ValueError(
            f"{text}: no such file, folder or installed package, and not a name on the hub (OWNER/NAME or "
            "OWNER/NAME@REVISION)"
        )
    return fetch(name, revision or None)


def _in_folder(folder: Path) -> FolderSource | GGUFSource:
    """Return the model of Hugging Face's in a folder, or else the only GGUF."""
    files = sorted(folder.glob("*.gguf"))
    if not files or (folder / "config.json").is_file():
        return FolderSource(folder)
    if len(files) > 1 and "-00001-of-" not in files[0].name:
        raise ValueError(f"{folder} holds {len(files)} GGUF files; give one of them, such as {files[0]}")
    return from_file(files[0])
