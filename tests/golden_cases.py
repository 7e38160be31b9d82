"""Contents of golden files that pin one part of the format each, and what their blocks must use."""

from __future__ import annotations

import dataclasses
import io
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from media import netpbm, planes, sound, wave_file

from lmzip import container
from lmzip.cli.listing import read_frames
from lmzip.coders import CODER_IDS
from lmzip.container import short
from lmzip.models.audio import SoundSettings
from lmzip.models.image import ImageSettings, colour_lattice

SETTINGS = {
    container.IMAGE: ImageSettings._fields,
    container.AUDIO: SoundSettings._fields,
    container.SAMPLES: ("windows",),
}


@dataclasses.dataclass(frozen=True)
class Case:
    """A content, how it is compressed, and what its first block must say, as `blocks_of` has it."""

    what: str
    content: bytes
    uses: dict[str, Any]
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


def blocks_of(packed: bytes) -> list[dict[str, Any]]:
    """Return of every block its type, coder, and all that its head says."""
    blocks: list[dict[str, Any]] = []
    coders = {number: name for name, number in CODER_IDS.items()}
    for frame in read_frames(io.BytesIO(packed)):
        for block in frame.blocks:
            type_, payload = _type_and_payload(packed, block.offset, frame.block_size)
            described: dict[str, Any] = {"type": block.method}
            if type_ in container.MEDIA_TYPES:
                coder, settings, _ = container.parse_media_settings(type_, payload)
                described |= {"coder": coders[coder], **dict(zip(SETTINGS[type_], settings, strict=True))}
            elif type_ in container.LOCKSTEP_TYPES:
                head, _ = container.parse_lockstep_head(type_, payload, block.content_size)
                packers = container.DATA_TYPES if type_ == container.RANK else coders
                described |= {
                    "symbols": head.symbols, "windows": head.windows, "coder": packers[head.coder],
                    "row_length": head.row_length, **head.subset._asdict(), "binarisation": head.binarisation,
                }  # fmt: skip
            blocks.append(described)
    return blocks


def _type_and_payload(packed: bytes, offset: int, block_size: int) -> tuple[int, bytes]:
    """Return the type and the payload of the block at an offset: a record, or a frame of that block alone."""
    if packed.startswith(container.MAGIC, offset):
        frame, _ = short.parse_frame(packed, offset)
        return frame.head.type, frame.payload
    record, start = container.parse_record_header(packed, offset, block_size)
    return record.type, container.parse_payload(packed, start, record)[0]


def cases() -> dict[str, Case]:
    """Return name -> case."""
    return {name: case for name, case in (*_pictures(), *_sounds(), *_records())}


def _pictures() -> Iterator[tuple[str, Case]]:
    photo_cd, jpeg = (
        colour_lattice.to_pixels(planes(), kind) for kind in (colour_lattice.PHOTO_CD, colour_lattice.JPEG)
    )
    for name, pixels, kind in (("photocd", photo_cd, colour_lattice.PHOTO_CD), ("jpeg", jpeg, colour_lattice.JPEG)):
        uses = {"type": "image", "lattice": kind, "corrected": 0, "mode": 0, "network": 1, "effort": 6}
        yield f"good-image-{name}", Case(f"a PPM file on the {name} lattice, luma network", netpbm(pixels), uses)
        beside = pixels.copy()
        beside[5:40:7, 5] = 1, 250, 3
        what = f"a PPM file on the {name} lattice, and some pixels beside it"
        yield f"good-image-{name}-corrected", Case(what, netpbm(beside), uses | {"corrected": 1, "coder": "range"})
    random = np.random.default_rng(11)
    y, x = np.mgrid[:56, :56]
    slope = (20 + 3 * x // 2 + 2 * y)[:, :, None]
    grey = slope + random.integers(0, 6, (56, 56, 1))
    yield (
        "good-image-grey",
        Case("a PGM file, grey network", netpbm(grey), {"type": "image", "lattice": 0, "colours": 0, "network": 1}),
    )
    smooth = planes(56, 56).astype(np.int64) + np.array([0, 9, 30])
    uses = {"type": "image", "lattice": 0, "colours": 0, "mode": 0}
    yield "good-image-colour", Case("a PPM file, colour network", netpbm(smooth), uses | {"network": 1, "order": 1})
    for level in (1, 2, 3, 9):
        network = int(level == 9)
        what, options = f"a PPM file at level {level}", {"level": level, "coder": "rans" if level == 2 else "range"}
        yield (
            f"good-image-level-{level}",
            Case(
                what, netpbm(smooth), uses | {"effort": level, "network": network, "coder": options["coder"]}, options
            ),
        )
    for bits in (12, 16):
        deep = (slope + np.array([0, 5, 9])) * (1 << bits - 8) + random.integers(0, 3 << bits - 8, (56, 56, 3))
        yield f"good-image-depth-{bits}", Case(f"a PPM file of {bits} bits", netpbm(deep, (1 << bits) - 1), uses)
        yield (
            f"good-image-grey-{bits}",
            Case(f"a PGM file of {bits} bits", netpbm(deep[..., :1], (1 << bits) - 1), uses),
        )
    listed = random.integers(0, 256, (37, 3))[random.integers(0, 37, (48, 48))]
    uses = {"type": "image", "colours": 37, "network": 0}
    yield "good-image-colours", Case("a PPM file of 37 colours, which are listed", netpbm(listed), uses)
    drawn = random.integers(0, 256, (49, 56, 3))
    for row, column, how in zip(
        *(grid.reshape(-1) for grid in np.mgrid[1:49, 1:56]), random.random(48 * 55), strict=True
    ):
        if how < 0.9:
            drawn[row, column] = drawn[row, column - 1] if how < 0.5 else drawn[row - 1, column]
    uses = {"type": "image", "mode": 1}
    yield "good-image-direct", Case("a PPM file whose pixels repeat", netpbm(drawn), uses)


def _sounds() -> Iterator[tuple[str, Case]]:
    for depth, channels, frames in (
        (8, 1, 3000),
        (16, 1, 2500),
        (24, 2, 1500),
        (32, 1, 1000),
        (16, 6, 600),
        (16, 18, 60),
    ):
        what = f"a WAV file of {channels} channels of {depth} bits"
        content = wave_file(sound(frames, channels, depth), depth)
        yield (
            f"good-audio-{depth}-{channels}",
            Case(what, content, {"type": "audio", "strength": 4 if depth == 8 else 2}),
        )
    for level, strength in ((1, 0), (3, 1), (9, 3)):
        options = {"level": level, "coder": "rans" if level == 3 else "range"}
        uses = {"type": "audio", "strength": strength, "coder": options["coder"]}
        content = wave_file(sound(1200, 2, 16), 16)
        yield f"good-audio-level-{level}", Case(f"a WAV file at level {level}", content, uses, options)
    yield "good-audio-wasted", Case("low bits that are not used", wave_file(wasted(), 16), {"type": "audio"})
    sparse = sound(2500, 2, 16) // 37 * 37
    yield "good-audio-sparse", Case("values that never occur", wave_file(sparse, 16), {"type": "audio"})


def wasted() -> np.ndarray:
    """Return samples whose lowest bit is never used, and two more of one channel not for a while."""
    samples = sound(2500, 2, 16) & ~1
    samples[600:1700, 1] &= ~7
    samples[1800:, 0] &= ~3
    return samples


def _records() -> Iterator[tuple[str, Case]]:
    table = b"".join(struct.pack("<IhBd", i, i * i % 997, i % 7, 1 / (i + 1)) for i in range(400))
    lines = b"".join(b"%06d;%-12s;%09.3f\r\n" % (i, b"lmzip"[i % 5 :] * (1 + i % 2), i * 1.7) for i in range(160))
    for name, content, record in (("table", table, 15), ("lines", lines, 0)):
        for coder in ("range", "rans"):
            what, options = f"{name}, the ensemble with a network, {coder}", {"level": 4, "method": "ensemble"}
            uses = {"type": "ensemble", "coder": coder, "row_length": record}
            yield f"good-ensemble-{name}-{coder}", Case(what, content, uses, options | {"coder": coder})
    uses = {"type": "adaptive", "coder": "rans", "row_length": 15, "windows": 1}
    yield (
        "good-adaptive-rans",
        Case("records of 15 bytes, no network, rANS", table, uses, {"level": 3, "coder": "rans"}),
    )
