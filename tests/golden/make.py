"""Write the golden files that do not exist yet: `python tests/golden/make.py`.

A golden file pins the format for ever. Once a version of lmzip that writes it is released it is
never written again; a new case gets a new name. Every FILE.lmzip has a FILE.json that says what it
is, its content's size and sha256 and what its blocks say, or the error that it must give.
"""

from __future__ import annotations

import hashlib
import json
import struct
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import golden_cases
from media import png, ppm, wav

import lmzip
from lmzip import container, options
from lmzip.models.identity import SMALL, ModelIdentity
from lmzip.models.text.context_subset import ALL
from lmzip.varint import create_varint

FOLDER = Path(__file__).parent
SAMPLES = FOLDER.parent.parent / "corpora" / "samples"
GENERAL = ("good-stored", "good-zstd", "good-lzma")  # named after their blocks' type


def check32(head: bytes) -> bytes:
    return container.check32(head).to_bytes(4, "little")


def cases() -> dict[str, tuple[str, bytes, bytes | str]]:
    """Return name -> (what it is, the file, its content or the name of its error)."""
    prose = (SAMPLES / "france_at_war.txt").read_bytes()[20_000:26_000]
    code = (SAMPLES / "pep-0697.rst").read_bytes()[8_000:11_000]
    zopfli = (FOLDER.parent / "pictures" / "zopfli.png").read_bytes()
    flac = (FOLDER.parent / "sounds" / "libflac.flac").read_bytes()
    noise = hashlib.shake_256(b"lmzip").digest(500)
    noisy = noise * 9 + b"x" * 99
    rows = b"".join(struct.pack("<IhBd", i, i * i % 997, i % 7, 1 / (i + 1)) for i in range(400))
    packed = lmzip.compress(prose, 4, method="model")
    header = container.create_header(container.Header(6, 1 << 22, 0))
    records = _of_records(prose, 4, method="model")
    flipped, flipped_record = bytearray(packed), bytearray(records)
    flipped[len(packed) // 2] ^= 4
    flipped_record[len(records) // 2] ^= 4
    head = records[: len(container.create_header(container.Header(4, 1 << 21, None))) - 4]
    return {
        "good-empty": ("empty content", lmzip.compress(b""), b""),
        "good-stored": ("one stored block", lmzip.compress(noise), noise),
        "good-lzma": ("one lzma block", lmzip.compress(b"lmzip " * 20, method="fallback"), b"lmzip " * 20),
        "good-zstd": ("one zstd block", lmzip.compress(noisy, method="fallback"), noisy),
        "good-model": ("prose, two windows, range coder", packed, prose),
        "good-model-rans": ("code, one window, rANS", lmzip.compress(code, 9, coder="rans", method="model"), code),
        "good-ensemble": ("prose, two windows, ensemble", lmzip.compress(prose, 4), prose),
        "good-ensemble-base": ("prose, the default level and model", lmzip.compress(prose), prose),
        "good-ensemble-windows": ("20 windows, rANS", _in_small_windows(prose, "rans"), prose),
        "good-ensemble-cohorts": ("13 windows in two cohorts", _in_small_windows(prose[:3900], "range"), prose[:3900]),
        "good-adaptive": ("records of 15 bytes, no network", lmzip.compress(rows, 3), rows),
        "good-adaptive-lean": ("prose, few contexts, no network", lmzip.compress(prose, 1), prose),
        "good-rank": ("prose, ranks, two windows", lmzip.compress(prose, 4, method="rank"), prose),
        "good-image": ("a PNG file", lmzip.compress(png()), png()),
        "good-image-optimal": ("a PNG file by zopfli", lmzip.compress(zopfli), zopfli),
        "good-image-rows": ("a PPM file, rANS", lmzip.compress(ppm(), 9, coder="rans"), ppm()),
        "good-audio-flac": ("a FLAC file", lmzip.compress(flac), flac),
        "good-samples-image": ("a PPM file, pixels as symbols", lmzip.compress(ppm(60), method="lm"), ppm(60)),
        "good-samples-audio": (
            "a WAV file, samples as symbols, three windows, rANS",
            lmzip.compress(wav(), 4, method="lm", coder="rans"),
            wav(),
        ),
        "good-audio": ("a WAV file", lmzip.compress(wav()), wav()),
        "good-records": ("a frame of records with one block, of unknown size", records, prose),
        "good-two-blocks": ("a frame of records with two blocks", _of_records(code, 4, prose), code + prose),
        "good-frames": (
            "four frames: of one block, empty, of records, of one block",
            packed + lmzip.compress(b"") + records + packed,
            prose * 3,
        ),
        "good-skippable": ("a record of an unknown type above 0x40 before the block", _with_skippable(noise), noise),
        "bad-truncated": ("the footer is cut off", records[:-8], "TruncatedError"),
        "bad-truncated-short": ("the check value of a frame of one block is cut off", packed[:-4], "TruncatedError"),
        "bad-flipped": ("one bit of the code is wrong", bytes(flipped_record), "CorruptError"),
        "bad-flipped-short": ("one bit of the code of a frame of one block is wrong", bytes(flipped), "CorruptError"),
        "bad-trailing": ("bytes after the last frame", packed + b"end", "CorruptError"),
        "bad-magic": ("a gzip file", b"\x1f\x8b\x08" + bytes(17), "CorruptError"),
        "bad-block-size": (
            "a block size of 16 GiB",
            (h := container.MAGIC + bytes([container.RECORDS, 0, 0, 7, 6]) + create_varint(1 << 34) + b"\0")
            + check32(h),
            "LimitError",
        ),
        "bad-model": ("needs a model that exists nowhere", _other_model(records), "ModelError"),
        "unsupported-layout": ("layout 3", packed[:3] + b"\x03" + packed[4:], "UnsupportedError"),
        "unsupported-feature": (
            "a required feature of the future",
            (h := head[:4] + b"\x01" + head[5:]) + check32(h) + records[len(head) + 4 :],
            "UnsupportedError",
        ),
        "unsupported-record": ("a record of the future", header + b"\x33\x00", "UnsupportedError"),
    } | {
        name: (case.what, lmzip.compress(case.content, **case.options), case.content)
        for name, case in golden_cases.cases().items()
    }


def _of_records(data: bytes, level: int, more: bytes = b"", **options: Any) -> bytes:
    """Return a frame of records with a block of `data` and, if there is more, another one of that."""
    compressor = lmzip.LMZCompressor(level, **options)
    return compressor.compress(data, lmzip.FLUSH_BLOCK) + compressor.compress(more, lmzip.FLUSH_FRAME)


def _with_skippable(data: bytes) -> bytes:
    header = container.create_header(container.Header(6, 1 << 22, len(data)))
    unknown = container.create_record(0x7F, b"a later version's business")
    block = container.create_record(container.STORED, data, data)
    index = container.Index(len(header), ((len(unknown), 0), (len(block), len(data))), hashlib.sha256(data).digest())
    return header + unknown + block + container.create_end(index)


def _in_small_windows(data: bytes, coder: str) -> bytes:
    usual, options.LEVELS[4] = options.LEVELS[4], options.Level(1 << 21, 300, 256, "ensemble", ALL, SMALL)
    packed = lmzip.compress(data, 4, coder=coder)
    options.LEVELS[4] = usual
    return packed


def _other_model(packed: bytes) -> bytes:
    header, offset = container.parse_header(packed)
    definition = ModelIdentity("nobody/nothing", bytes(32), "exact-1")
    record = container.create_record(container.MODEL_DEFINITION, container.create_model_definition(definition))
    _, end = container.parse_record_header(packed, offset, header.block_size)
    return packed[:offset] + record + packed[end:]


def main(folder: Path = FOLDER) -> None:
    """Write what is missing."""
    for name, (what, data, result) in cases().items():
        path = folder / f"{name}.lmzip"
        if path.exists():
            continue
        description: dict[str, object] = {"what": what, "lmzip": lmzip.__version__}
        if isinstance(result, str):
            description["error"] = result
        else:
            assert lmzip.decompress(data) == result
            description |= {"size": len(result), "sha256": hashlib.sha256(result).hexdigest()}
            description["blocks"] = blocks = golden_cases.blocks_of(data)
            assert name not in GENERAL or [block["type"] for block in blocks] == [name.removeprefix("good-")]
        path.write_bytes(data)
        path.with_suffix(".json").write_text(json.dumps(description, indent=1) + "\n")


if __name__ == "__main__":
    main()
