"""The layout of the code: who may import whom, how long files and lines are, what is documented and installed.

ARCHITECTURE.md tells the same in words.
"""

from __future__ import annotations

import ast
import configparser
import inspect
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import lmzip

ROOT = Path(__file__).parent.parent
FOLDERS = {"coders": "lmzip.coders", "models": "lmzip.models", "lmzip": "lmzip"}
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))

# Every layer, lowest first: a package or a module, and the layers that it may import besides itself. What is in no
# package of its own belongs to `lmzip`, the library that a user of Python sees.
LAYERS = {
    "lmzip.errors": "",
    "lmzip.varint": "errors",
    "lmzip.coders.kernel_store": "",
    "lmzip.coders.compiled": "coders.kernel_store",
    "lmzip.coders": "coders.compiled",
    "lmzip.models.extras": "",
    "lmzip.models.cgroup": "",
    "lmzip.models.hardware": "models.cgroup",
    "lmzip.models.threads": "",
    "lmzip.models.identity": "",
    "lmzip.models.store": "",
    "lmzip.models.user_store": "errors models.identity models.store",
    "lmzip.models.storing": "errors models.identity models.store models.user_store",
    "lmzip.models.mixing": "coders coders.compiled",
    "lmzip.models.text": "coders models.mixing",
    "lmzip.models.image": "coders models.mixing",
    "lmzip.models.audio": "coders models.mixing",
    "lmzip.models.protocols": "models.text",
    "lmzip.models.exact": "coders.compiled models.extras models.threads",
    "lmzip.models.networks": ("coders.compiled models.exact models.hardware models.store models.text models.threads"),
    "lmzip.models.importing": (
        "models.exact models.extras models.hardware models.mixing models.networks models.store models.text"
    ),
    "lmzip.models.registry": (
        "coders.compiled errors models.identity models.importing models.networks models.protocols models.store "
        "models.threads models.user_store"
    ),
    "lmzip.models.training": (
        "models.exact models.extras models.image models.mixing models.networks models.protocols models.store "
        "models.text"
    ),
    "lmzip.container": "errors models.identity models.text varint",
    "lmzip.options": "coders models.identity models.text",
    "lmzip.formats": "coders.compiled errors varint",
    "lmzip.blocks": (
        "coders container errors formats models.audio models.exact models.image models.mixing models.networks "
        "models.protocols models.text options varint"
    ),
    "lmzip.equal_info": (
        "blocks container errors models.identity models.networks models.protocols models.registry models.text"
    ),
    "lmzip": (
        "blocks coders container equal_info errors formats models.hardware models.identity models.networks "
        "models.protocols models.registry options"
    ),
    "lmzip.measure": (
        "lmzip errors formats models.extras models.hardware models.identity models.protocols models.registry "
        "models.store options"
    ),
    "lmzip.cli": (
        "lmzip coders coders.compiled container equal_info errors measure models.exact models.extras models.hardware "
        "models.identity models.importing models.networks models.protocols models.registry models.store models.storing "
        "models.user_store options"
    ),
    "lmzip.__main__": "cli",
}


def below(layer: str) -> set[str]:
    """Return the layers that one may import besides itself."""
    return {"lmzip" if name == "lmzip" else f"lmzip.{name}" for name in LAYERS[layer].split()}


def module_of(path: Path) -> str:
    """Return the import name of a source file."""
    folder, *rest = path.relative_to(ROOT).with_suffix("").parts
    parts = [FOLDERS[folder], *rest]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer_of(module: str) -> str:
    """Return the layer that a module belongs to."""
    return max((layer for layer in LAYERS if f"{module}.".startswith(f"{layer}.")), key=len)


MODULES = {module_of(path): path for path in SOURCES}


def imports_of(module: str) -> Iterator[str]:
    """Yield the modules of ours that a module imports, wherever in the file it does."""
    package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "lmzip")
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(filter(None, (package, node.module))) if node.level else str(node.module)
            if base.split(".")[0] == "lmzip":
                for alias in node.names:
                    named = f"{base}.{alias.name}"
                    yield named if named in MODULES else base


@pytest.mark.parametrize("module", MODULES)
def test_imports(module: str) -> None:
    layer = layer_of(module)
    for imported in imports_of(module):
        found = layer_of(imported)
        assert found == layer or found in below(layer), f"{module} of the layer {layer} must not import {imported}"


def test_layers_have_an_order() -> None:
    order = list(LAYERS)
    for layer in LAYERS:
        assert all(order.index(other) < order.index(layer) for other in below(layer)), layer


def test_no_source_is_too_long() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {path: length for path, length in lengths.items() if length > 400} == {}


def test_no_line_of_prose_is_too_long() -> None:
    for path in (path for path in ROOT.rglob("*.md") if not {".venv", "build"} & set(path.parts)):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            assert len(line) <= 120 or line.startswith("|"), (
                f"{path.relative_to(ROOT)}:{number}: {len(line)} characters"
            )


@pytest.mark.parametrize("name", lmzip.__all__)
def test_public_names_are_documented(name: str) -> None:
    value = getattr(lmzip, name)
    assert isinstance(value, int) or inspect.getdoc(value), name
    if inspect.isclass(value):
        for method, function in inspect.getmembers(value, inspect.isroutine):
            if not method.startswith("_"):
                assert inspect.getdoc(function), f"{name}.{method}"


def test_setup_lists_every_package() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    packages = {module for module, path in MODULES.items() if path.name == "__init__.py"}
    assert set(setup["options"]["packages"].split()) == packages


def test_weights_are_data_only() -> None:
    assert not list((ROOT / "models" / "weights").rglob("*.py"))


def test_kernels_lie_where_changes_of_them_are_seen() -> None:
    folders = [ROOT / "coders", ROOT / "models", ROOT / "lmzip" / "formats"]
    for path in SOURCES:
        if re.search(r"^@(kernel|inline|once|compiled)\b", path.read_text(encoding="utf-8"), re.MULTILINE):
            assert any(folder in path.parents for folder in folders), path


def test_a_walk_from_the_command_to_the_coder() -> None:
    """Reading from `lmzip compress` to the coder passes at most eight modules, each imported by the one before."""
    walk = [
        "lmzip.cli.main", "lmzip.cli.files", "lmzip.compressor", "lmzip.blocks.select", "lmzip.blocks.text",
        "lmzip.blocks.lockstep", "lmzip.coders",
    ]  # fmt: skip
    assert len(walk) <= 8
    for module, following in itertools.pairwise(walk):
        assert following in imports_of(module), f"{module} does not import {following}"
