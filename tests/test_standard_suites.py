"""The standard library's own tests of lzma and bz2, run against lmzip.

The running interpreter's test modules are taken as they are, with lmzip's classes under the names of lzma's or bz2's,
and with lmzip's frames of the same content in place of the compressed data that stands in them. Options that only
liblzma has are given to the real lzma, which says what is wrong with them, and dropped. Level 1 has small blocks.
"""

# ruff: noqa: A002 - the options of lzma have the names that they have

from __future__ import annotations

import ast
import bz2
import importlib
import io
import lzma
import operator
import pathlib
import sys
import types
import unittest
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import lmzip
from lmzip.options import LEVELS, Level

BLOCK_SIZE = 300
QUICK: dict[str, Any] = {"method": "fallback", "verify": False}

JUNK = "what follows the last frame and is none is an error in lmzip, as in compression.zstd"
FORMATS = "that data of one of liblzma's formats is refused as another: lmzip has one format"
ERRORS = "lmzip has classes of errors of its own; bz2 raises OSError and ValueError"
UNMADE = "a class in C must not crash when its __init__ was not called"
LEFT_OUT = {
    "lzma": {
        "CompressorDecompressorTestCase.test_simple_bad_args": "a compressor goes on with a new frame, as in zstd",
        "CompressorDecompressorTestCase.test_decompressor_bad_input": FORMATS,
        "CompressorDecompressorTestCase.test_decompressor_bug_28275": FORMATS,
        "CompressDecompressFunctionTestCase.test_decompress_bad_input": FORMATS,
        "CompressDecompressFunctionTestCase.test_decompress_trailing_junk": JUNK,
        "CompressDecompressFunctionTestCase.test_decompress_multistream_trailing_junk": JUNK,
        "FileTestCase.test_read_trailing_junk": JUNK,
        "FileTestCase.test_read_multistream_trailing_junk": JUNK,
        "CompressorDecompressorTestCase.test_uninitialized_LZMADecompressor_crash": UNMADE,
        "MiscellaneousTestCase": "functions about the checks and filters of liblzma",
    },
    "bz2": {
        "BZ2FileTest.testReadBadFile": ERRORS,
        "CompressDecompressTest.testDecompressBadData": ERRORS,
        "CompressDecompressTest.testDecompressIncomplete": ERRORS,
        "CompressDecompressTest.testDecompressEmpty": "no data is no frame, and truncated; bz2 says it is empty",
        "BZ2FileTest.testReadTrailingJunk": JUNK,
        "BZ2FileTest.testReadMultiStreamTrailingJunk": JUNK,
        "CompressDecompressTest.testDecompressTrailingJunk": JUNK,
        "CompressDecompressTest.testDecompressMultiStreamTrailingJunk": JUNK,
        "BZ2DecompressorTest.test_uninitialized_BZ2Decompressor_crash": UNMADE,
    },
}
# Tests that skip themselves in an interpreter without counts of references.
NEED_A_DEBUG_BUILD = {"test_refleaks_in_decompressor___init__", "test_refleaks_in___init__"}


class File(lmzip.LMZFile):
    """An LMZFile whose parts have the names that the tests look at."""

    _fp = property(lambda self: self._file)
    _buffer = property(lambda self: self._reader)


def level_of(preset: int | None) -> int:
    return 1 if preset is None else preset & 15 or 1


def write_options(mode: object, preset: int | None) -> dict[str, Any]:
    return {} if str(mode)[:1] == "r" else {"level": level_of(preset), **QUICK}


def check_file_options(mode: str, **options: Any) -> None:
    """Let the real lzma check what is liblzma's own."""
    given = {name: value for name, value in options.items() if value is not None and (name, value) != ("check", -1)}
    if given:
        try:
            lzma.LZMAFile(io.BytesIO(), "r" if mode.startswith("r") else "w", **given).close()
        except lzma.LZMAError as error:
            raise lmzip.LMZError(str(error)) from error


class LZMAFile(File):
    def __init__(
        self, filename: Any = None, mode: str = "r", *, format: Any = None, check: int = -1, preset: Any = None,
        filters: Any = None,
    ) -> None:  # fmt: skip
        if isinstance(mode, str):
            check_file_options(mode, format=format, check=check, preset=preset, filters=filters)
        super().__init__(filename, mode, **write_options(mode, preset))


class LZMACompressor(lmzip.LMZCompressor):
    def __init__(
        self, format: Any = lzma.FORMAT_XZ, check: Any = -1, preset: Any = None, filters: Any = None
    ) -> None:  # fmt: skip
        lzma.LZMACompressor(format, check, preset, filters)
        super().__init__(level_of(preset), **QUICK)


class LZMADecompressor(lmzip.LMZDecompressor):
    check = lzma.CHECK_NONE

    def __init__(self, format: Any = lzma.FORMAT_AUTO, memlimit: Any = None, filters: Any = None) -> None:
        lzma.LZMADecompressor(format, memlimit, filters)
        super().__init__(max_output=memlimit)


def compress_as_lzma(data: Any, *options: Any, **named: Any) -> bytes:
    compressor = LZMACompressor(*options, **named)
    return compressor.compress(data) + compressor.flush()


def decompress_as_lzma(
    data: Any, format: Any = lzma.FORMAT_AUTO, memlimit: Any = None, filters: Any = None
) -> bytes:  # fmt: skip
    lzma.LZMADecompressor(format, memlimit, filters)
    return lmzip.decompress(data, max_output=memlimit)


def open_as_lzma(
    filename: Any, mode: str = "rb", *, format: Any = None, check: int = -1, preset: Any = None, filters: Any = None,
    **text: Any,
) -> Any:  # fmt: skip
    check_file_options(mode, format=format, check=check, preset=preset, filters=filters)
    return lmzip.open(filename, mode, **write_options(mode, preset), **text)


class BZ2File(File):
    def __init__(self, filename: Any, mode: str = "r", *, compresslevel: int = 9) -> None:
        reading = isinstance(mode, str) and mode.startswith("r") and compresslevel == 9
        super().__init__(filename, mode, level=None if reading else compresslevel, **QUICK)

    def readline(self, size: int = -1) -> bytes:  # type: ignore[override]
        return super().readline(operator.index(size))  # only bz2 refuses None

    def readlines(self, size: int = -1) -> list[bytes]:  # type: ignore[override]
        return super().readlines(operator.index(size))


class BZ2Compressor(lmzip.LMZCompressor):
    def __init__(self, compresslevel: int = 9) -> None:
        super().__init__(compresslevel, **QUICK)


def compress_as_bz2(data: Any, compresslevel: int = 9) -> bytes:
    compressor = BZ2Compressor(compresslevel)
    return compressor.compress(data) + compressor.flush()


def open_as_bz2(filename: Any, mode: str = "rb", compresslevel: int = 9, **text: Any) -> Any:
    level = None if mode.startswith("r") else compresslevel
    return lmzip.open(filename, mode, level=level, **QUICK, **text)


STAND_INS: dict[str, dict[str, Any]] = {
    "lzma": {
        "LZMAFile": LZMAFile, "LZMACompressor": LZMACompressor, "LZMADecompressor": LZMADecompressor,
        "LZMAError": lmzip.LMZError, "compress": compress_as_lzma, "decompress": decompress_as_lzma,
        "open": open_as_lzma, "CHECK_CRC64": lzma.CHECK_NONE,
    },
    "bz2": {
        "BZ2File": BZ2File, "BZ2Compressor": BZ2Compressor, "BZ2Decompressor": lmzip.LMZDecompressor,
        "compress": compress_as_bz2, "decompress": lmzip.decompress, "open": open_as_bz2,
    },
}  # fmt: skip


def small_frame(content: bytes) -> bytes:
    """Return a frame of many blocks; of nothing, the one that the highest level makes."""
    compressor = lmzip.LMZCompressor(1 if content else 9, **QUICK)
    return compressor.compress(content) + compressor.flush()


class Repack(ast.NodeTransformer):
    """Replace each compressed literal by a frame of its content."""

    def __init__(self, decompress: Callable[[bytes], bytes]) -> None:
        self.decompress, self.count = decompress, 0

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        if isinstance(node.value, bytes) and node.value:
            try:
                content = self.decompress(node.value)
            except (lzma.LZMAError, OSError, ValueError):
                return node
            self.count += 1
            return ast.copy_location(ast.Constant(small_frame(content)), node)
        return node


def adapted_module(name: str, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """Return the test module of lzma or bz2 with lmzip's names and data."""
    try:
        original = importlib.import_module(f"test.test_{name}")
    except ImportError as error:
        pytest.skip(f"this interpreter was installed without its own tests: {error}")
    real = {"lzma": lzma, "bz2": bz2}[name]
    stand_in = types.ModuleType(name)
    stand_in.__dict__.update(vars(real), **STAND_INS[name])
    assert original.__file__ is not None
    repack = Repack(real.decompress)
    tree = repack.visit(ast.parse(pathlib.Path(original.__file__).read_text(encoding="utf-8")))
    assert repack.count >= 2, "no compressed data was found in the tests"
    module = types.ModuleType(f"adapted_test_{name}")
    module.__file__ = original.__file__
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, name, stand_in)
        exec(compile(tree, original.__file__, "exec"), module.__dict__)
    if name == "bz2":
        module.has_cmdline_bunzip2 = False  # type: ignore[attr-defined]
    else:  # these have no header by which they could be found
        raw = [name for name in vars(module) if name.startswith("COMPRESSED_RAW_")]
        assert len(raw) >= 4
        vars(module).update(dict.fromkeys(raw, small_frame(module.INPUT)))
        module.TESTFN = "file"  # type: ignore[attr-defined] # of ASCII, without which tests skip themselves
    return module


def cases_of(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from cases_of(test)
        else:
            assert isinstance(test, unittest.TestCase)
            yield test


def method_of(test: unittest.TestCase) -> str:
    return test.id().rpartition(".")[2]


@pytest.mark.parametrize("name", ["lzma", "bz2"])
def test_the_standard_library_s_own_tests(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:  # fmt: skip
    assert len(LEFT_OUT[name]) <= 10
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(LEVELS, 1, Level(BLOCK_SIZE, 64, 8))
    module = adapted_module(name, monkeypatch)
    suite, result, left_out = unittest.TestSuite(), unittest.TestResult(), set()
    for test in cases_of(unittest.defaultTestLoader.loadTestsFromModule(module)):
        class_name = type(test).__name__
        if found := {class_name, f"{class_name}.{method_of(test)}"} & set(LEFT_OUT[name]):
            left_out |= found
        else:
            suite.addTest(test)
    count = suite.countTestCases()
    suite.run(result)
    assert not result.failures + result.errors, "\n".join(text for _, text in result.failures + result.errors)
    assert {method_of(test) for test, _ in result.skipped} <= NEED_A_DEBUG_BUILD
    older = {test for test, reason in LEFT_OUT[name].items() if reason == UNMADE}  # Python 3.11 does not have it
    assert set(LEFT_OUT[name]) - left_out <= older, "tests are left out that are none"
    assert result.testsRun == count >= 85
