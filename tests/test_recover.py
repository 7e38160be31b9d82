"""What is found and decoded of damaged files."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path

import pytest
from command import MODEL, TEXT, Call, names
from mocks import MockModel

import lmzip
from lmzip import container
from lmzip.errors import LimitError
from lmzip.models import registry
from lmzip.recover import Part, decode_parts, describe, find_parts, missing_size

BLOCKS = [random.Random(i).randbytes(200 + 10 * i) for i in range(6)]


def archive(model: MockModel | None = None) -> bytes:
    """A frame of six blocks."""
    method = "fallback" if model is None else "ensemble"
    compressor = lmzip.LMZCompressor(6, method=method, model=model)
    blocks = BLOCKS if model is None else [TEXT[i * 100 : (i + 1) * 100] for i in range(6)]
    data = b"".join(compressor.compress(block, compressor.FLUSH_BLOCK) for block in blocks)
    return data + compressor.flush()


WHOLE = archive()
PARTS = find_parts(io.BytesIO(WHOLE))
OFFSETS = [part.offset for part in PARTS if part.what == "block"]


def flipped(data: bytes, *places: int) -> bytes:
    changed = bytearray(data)
    for place in places:
        changed[place] ^= 0x55
    return bytes(changed)


def recovered(data: bytes, model: MockModel | None = None) -> tuple[list[bytes], list[Part]]:
    file = io.BytesIO(data)
    found = list(decode_parts(file, find_parts(file), model, threads=1, backend=None, notify=None))
    return [content for _, content in found if content], [part for part, _ in found]


def test_whole_file() -> None:
    assert [part.what for part in PARTS] == ["frame header", *["block"] * 6, "index", "footer"]
    assert describe(PARTS) == "blocks 1 to 6 of 6 are whole" and missing_size(PARTS) == 0
    contents, parts = recovered(WHOLE * 2)
    assert contents == BLOCKS * 2 and sum(part.size for part in parts) == 2 * len(WHOLE)


@pytest.mark.parametrize("place", [0, 1, 30], ids=["type", "size", "payload"])
def test_damaged_block(place: int) -> None:
    contents, parts = recovered(flipped(WHOLE, OFFSETS[3] + place))
    assert contents == BLOCKS[:3] + BLOCKS[4:] and missing_size(parts) == len(BLOCKS[3])
    assert describe(parts) == f"blocks 1 to 3 and 5 to 6 of 6 are whole; block 4 at byte {OFFSETS[3]:,} is damaged"


@pytest.mark.parametrize("index", ["damaged", "cut off", "missing"])
def test_damaged_block_without_an_index(index: str) -> None:
    (at,) = [part.offset for part in PARTS if part.what == "index"]
    data = {"damaged": flipped(WHOLE, at), "cut off": WHOLE[: at + 30], "missing": WHOLE[:at]}[index]
    contents, parts = recovered(flipped(data, OFFSETS[3]))
    assert contents == BLOCKS[:3] + BLOCKS[4:] and missing_size(parts) is None
    lost = f"bytes {OFFSETS[3]:,} to {OFFSETS[4] - 1:,} hold nothing that can be read"
    assert describe(parts).startswith(f"blocks 1 to 5 of 5 that were found are whole; {lost}; ")
    ends = {
        "damaged": f"bytes {at:,} to",
        "cut off": "the end at byte",
        "missing": f"the end at byte {at:,} is missing",
    }
    assert ends[index] in describe(parts)


def test_any_byte_damaged() -> None:
    for place in range(0, len(WHOLE), 3):
        contents, parts = recovered(flipped(WHOLE, place))
        lost = [i for i, offset in enumerate(OFFSETS) if offset <= place < ([*OFFSETS, PARTS[-2].offset][i + 1])]
        assert contents == [block for i, block in enumerate(BLOCKS) if i not in lost], place
        assert any(part.trouble for part in parts)


def test_cut_anywhere() -> None:
    ends = [*OFFSETS[1:], PARTS[-2].offset]
    for size in range(0, len(WHOLE), 7):
        contents, parts = recovered(WHOLE[:size])
        assert contents == [block for block, end in zip(BLOCKS, ends, strict=True) if end <= size], size
        assert parts[-1].what == "end"


@pytest.mark.parametrize("removed", [0, 7], ids=["more", "fewer"])
def test_bytes_that_came_or_went(removed: int) -> None:
    data = WHOLE[: OFFSETS[2] + 30] + b"other" * (not removed) + WHOLE[OFFSETS[2] + 30 + removed :]
    contents, parts = recovered(data * 2)
    assert contents == (BLOCKS[:2] + BLOCKS[3:]) * 2
    assert sum(part.size for part in parts) == len(data) * 2


def test_junk_between_frames() -> None:
    junk = random.Random(9).randbytes(5000)
    contents, parts = recovered(junk + WHOLE + junk + WHOLE + junk)
    assert contents == BLOCKS * 2 and [part.size for part in parts if part.what == "gap"] == [5000] * 3
    assert recovered(junk)[0] == [] and recovered(b"")[0] == []


def test_checksum_of_a_block_that_was_computed_wrongly() -> None:
    record, size = container.parse_record_header(WHOLE, OFFSETS[1], container.MAX_BLOCK_SIZE)
    payload = WHOLE[size : size + record.payload_size]
    wrong = container.create_record(record.type, payload, BLOCKS[1][:-1] + b"?")
    contents, parts = recovered(WHOLE[: OFFSETS[1]] + wrong + WHOLE[OFFSETS[2] :])
    assert contents == [BLOCKS[0], *BLOCKS[2:]]
    assert f"block 2 at byte {OFFSETS[1]:,} cannot be decoded (block at byte" in describe(parts)


def test_lost_name_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    data = archive(MODEL)
    (definition,) = [part for part in find_parts(io.BytesIO(data)) if part.what == "model definition"]
    for place in (definition.offset, definition.offset + 20):
        damaged = flipped(data, place)
        assert b"".join(recovered(damaged, MODEL)[0]) == TEXT[:600]
        with monkeypatch.context() as patch:
            patch.setattr(registry, "load_model", lambda source, **_: {"text-12": MODEL}[source])
            assert b"".join(recovered(damaged)[0]) == TEXT[:600]


def test_output_is_bounded() -> None:
    file = io.BytesIO(WHOLE)
    with pytest.raises(LimitError):
        list(decode_parts(file, find_parts(file), max_output=len(b"".join(BLOCKS)) - 1))


def test_errors_name_the_place(tmp_path: Path) -> None:
    data = flipped(WHOLE, OFFSETS[3] + 30)
    with pytest.raises(lmzip.CorruptError, match=f"^at byte {OFFSETS[3]:,} of the frame: stored payload: damaged"):
        lmzip.decompress(data)
    start = sum(map(len, BLOCKS[:3]))
    with lmzip.open(io.BytesIO(data)) as file:
        file.seek(start)
        with pytest.raises(lmzip.CorruptError, match=f"^block 4 at byte {OFFSETS[3]:,}: stored payload: damaged"):
            file.read(1)


# The command line


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "a.lmzip"
    path.write_bytes(flipped(WHOLE, OFFSETS[3] + 30))
    return path


def test_test_tells_which_blocks_are_whole(call: Call, broken: Path) -> None:
    what = f"blocks 1 to 3 and 5 to 6 of 6 are whole; block 4 at byte {OFFSETS[3]:,} is damaged"
    for words in ["test"], ["decompress"], ["-dc"]:
        outcome = call(*words, "a.lmzip")
        assert outcome.code == 1 and f"; {what}; lmzip decompress --recover writes what is whole\n" in outcome.err
    broken.write_bytes(WHOLE + broken.read_bytes())
    outcome = call("test", "a.lmzip")
    where = f"in the frame that begins at byte {len(WHOLE):,}, at byte {OFFSETS[3]:,} of the frame: stored payload"
    assert outcome.code == 1 and where in outcome.err
    broken.write_bytes(WHOLE + b"junk")
    outcome = call("test", "a.lmzip")
    assert outcome.code == 1 and "after the frame that ends at byte" in outcome.err
    assert f"bytes {len(WHOLE):,} to {len(WHOLE) + 3:,} hold nothing" in outcome.err


def test_recover(call: Call, broken: Path, tmp_path: Path) -> None:
    rest = b"".join(BLOCKS[:3] + BLOCKS[4:])
    outcome = call("decompress", "--recover", "--json", "a.lmzip")
    assert outcome.code == 1 and (tmp_path / "a").read_bytes() == rest
    assert outcome.err.startswith(f"lmzip: a.lmzip: {len(rest):,} bytes were recovered, {len(BLOCKS[3])} are missing: ")
    result = json.loads(outcome.out)
    assert (result["output"], result["content_size"], result["exit_code"]) == ("a", len(rest), 1)
    assert call("-dc", "--recover", "a.lmzip").out == rest
    broken.write_bytes(WHOLE[:-1])
    outcome = call("-df", "--recover", "a.lmzip")
    assert outcome.code == 1 and (tmp_path / "a").read_bytes() == b"".join(BLOCKS)
    assert "how many are missing is not known" in outcome.err and "the end at byte" in outcome.err
    broken.write_bytes(WHOLE)
    assert call("-df", "--recover", "a.lmzip").code == 0 and (tmp_path / "a").read_bytes() == b"".join(BLOCKS)


def test_nothing_to_recover(call: Call, broken: Path, tmp_path: Path) -> None:
    broken.write_bytes(b"junk" * 1000)
    outcome = call("decompress", "--recover", "a.lmzip")
    assert outcome.code == 1 and "nothing can be recovered: no block is whole" in outcome.err
    assert names(tmp_path) == ["a.lmzip"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-t", "--recover"], "--recover goes with decompress"), (["--recover"], "--recover goes with decompress"),
        (["-d", "--recover", "--rm"], "--rm does not go with --recover"),
    ],
)  # fmt: skip
def test_misuse(call: Call, broken: Path, tmp_path: Path, words: list[str], message: str) -> None:
    outcome = call(*words, "a.lmzip")
    assert outcome.code == 2 and message in outcome.err and names(tmp_path) == ["a.lmzip"]
