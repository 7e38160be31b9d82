"""Finding the bytes of a GGUF: in one file or split into several, in a wheel, or in an installed package.

A package may be too large for the index of Python packages. Then it comes with others, NAME_part1, NAME_part2 and so
on, which hold pieces of the file: FILE.gguf.part00 and those that follow. SHA256SUMS says what they make.
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import mmap
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from lmzip.models.importing.gguf.file import GGUFFile

Entry = Path | zipfile.Path
_SPLIT = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf")
_PIECE = re.compile(r"(.+\.gguf)\.part(\d+)")
_WHEEL = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+)-.+\.whl")
CHUNK = 1 << 20  # bytes


def open_file(path: Path) -> list[GGUFFile]:
    """Open a GGUF file, or all of a split one from its first file. Raises ValueError where it is damaged."""
    split = _SPLIT.fullmatch(path.name)
    if split is None:
        return [_map(path)]
    base, number, count = split[1], int(split[2]), int(split[3])
    names = [f"{base}-{i:05}-of-{count:05}.gguf" for i in range(1, count + 1)]
    if number != 1:
        raise ValueError(f"{path.name} is a part of a split GGUF; give the first one, {names[0]}")
    return _whole([path.parent / name for name in names])


def open_wheel(path: Path) -> list[GGUFFile]:
    """Open the GGUF in a wheel, or in it and the wheels of its parts beside it."""
    wheels = [path]
    match = _WHEEL.fullmatch(path.name)
    for number in itertools.count(1):
        beside = sorted(path.parent.glob(f"{match['name']}_part{number}-{match['version']}-*.whl")) if match else []
        if not beside:
            break
        wheels.append(beside[0])
    roots: list[Entry] = []
    for wheel in wheels:
        try:
            roots.append(zipfile.Path(wheel))
        except (zipfile.BadZipFile, OSError) as error:
            raise ValueError(f"{wheel.name} is damaged or only in part here: {error}; get it again") from error
    try:
        return _open_only(roots, path.name)
    except (zipfile.BadZipFile, EOFError) as error:
        raise ValueError(f"{path.name} is damaged: {error}; get it again") from error


def open_package(name: str) -> list[GGUFFile]:
    """Open the GGUF that an installed package holds, or it and the packages of its parts. None of them is imported."""
    roots: list[Entry] = []
    for package in itertools.chain([name], (f"{name}_part{number}" for number in itertools.count(1))):
        spec = importlib.util.find_spec(package)
        if spec is None:
            break
        roots += map(Path, spec.submodule_search_locations or [])
    return _open_only(roots, f"the package {name}")


def _open_only(roots: list[Entry], where: str) -> list[GGUFFile]:
    """Open the only GGUF under some folders."""
    files = [file for root in roots for file in _files(root)]
    found = sorted((file for file in files if file.name.endswith(".gguf")), key=lambda file: file.name)
    splits = {(match[1], match[3]) for file in found if (match := _SPLIT.fullmatch(file.name))}
    if len(splits) == 1:
        (base, count), by_name = splits.pop(), {file.name: file for file in found}
        names = [f"{base}-{i:05}-of-{count}.gguf" for i in range(1, int(count) + 1)]
        return _whole([by_name.get(name, Path(name)) for name in names])
    if len(found) == 1:
        return [_map(found[0])]
    if found:
        raise ValueError(f"{where} holds {len(found)} GGUF files: {', '.join(f.name for f in found)}. Give one of them")
    pieces = sorted((int(match[2]), file) for file in files if (match := _PIECE.fullmatch(file.name)))
    names_of_pieces = {file.name.rpartition(".")[0] for _, file in pieces}
    if len(names_of_pieces) != 1:
        raise ValueError(f"{where} holds no GGUF file, nor do the parts NAME_part1, NAME_part2 ... beside it")
    numbers = [number for number, _ in pieces]
    if numbers != list(range(numbers[0], numbers[0] + len(numbers))) or numbers[0] > 1:
        raise ValueError(f"{where}: of the pieces of the file only the numbers {numbers} are here; get the others")
    name = names_of_pieces.pop()
    data, sha256 = _join([file for _, file in pieces])
    for file in files:
        if file.name == "SHA256SUMS":
            sums = dict(line.split()[::-1] for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
            if sums.get(name, sha256) != sha256:
                raise ValueError(f"{name}: its {len(pieces)} pieces do not make the file; one is missing or damaged")
    return [GGUFFile(data, name)]


def _files(root: Entry) -> Iterator[Entry]:
    """Yield the files under a folder."""
    for entry in root.iterdir():
        if entry.is_dir():
            yield from _files(entry)
        else:
            yield entry


def _whole(files: list[Entry]) -> list[GGUFFile]:
    """Open the files of a split GGUF."""
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise ValueError(f"{len(missing)} of {len(files)} files of the split GGUF are missing: {missing[0]}; get them")
    return [_map(file) for file in files]


def _map(file: Entry) -> GGUFFile:
    """Open a GGUF; one that is packed is unpacked into a file that goes with the process."""
    if isinstance(file, Path):
        with file.open("rb") as opened:
            return GGUFFile(_mapped(opened), file.name)
    return GGUFFile(_join([file])[0], file.name)


def _join(files: list[Entry]) -> tuple[mmap.mmap | bytes, str]:
    """Return the bytes of files, one after the other, from a nameless file on the disk, and their sha256."""
    with tempfile.TemporaryFile() as joined:
        for file in files:
            with file.open("rb") as opened:
                shutil.copyfileobj(opened, joined, CHUNK)
        joined.flush()
        joined.seek(0)
        return _mapped(joined), hashlib.file_digest(joined, "sha256").hexdigest()


def _mapped(file: IO[bytes]) -> mmap.mmap | bytes:
    """Return the bytes of an open file, which may be closed then."""
    if not file.seek(0, 2):
        return b""  # no map has no bytes
    file.seek(0)
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
