"""What of a damaged file is whole: found by check values, without decoding, and then decoded block by block.

Parts are read one after the other from the beginning. Where one cannot be read, the index says where the next one
begins if it is whole itself; otherwise the next that has a right check value is looked for. That can be a part of an
lmzip file which was stored in the damaged block, since nothing tells the two apart.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from collections.abc import Iterator, Sequence
from typing import IO, Any

from lmzip import container
from lmzip.container import Index, RecordHeader, short
from lmzip.decompressor import decode_block, decode_short
from lmzip.errors import CorruptError, LimitError, LMZError, ModelError
from lmzip.models import registry
from lmzip.models.identity import ModelIdentity
from lmzip.models.protocols import Predictor
from lmzip.options import DEFAULT_LEVEL, LEVELS

_HEAD = 512  # more than a frame header or a record header takes
_CHUNK = 1 << 20  # bytes that are searched at a time
_TYPES = {container.MODEL_DEFINITION: "model definition", container.INDEX: "index"}
_BEGINNINGS = re.compile(b"[%s]|%s" % (re.escape(bytes([*container.DATA_TYPES, *_TYPES])), re.escape(container.MAGIC)))
_BLOCKS = ("block", "frame")  # what holds content
_DAMAGED = "is damaged"
_MOST_TROUBLES = 8  # that are told one by one


@dataclasses.dataclass(frozen=True)
class Part:
    """A stretch of a compressed file.

    what: `frame` of one block; of a frame of records `frame header`, `block`, `model definition`, `record` (of another
    type), `index`, `footer`; `gap` where no part was found, `end` for what should stand behind the last byte.
    trouble: what is wrong, "" where the check values hold. content_size: decoded bytes, 0 where that is not known.
    record: its header, payload_start bytes long, where that could be read.
    """

    what: str
    offset: int
    size: int
    trouble: str = ""
    content_size: int = 0
    record: RecordHeader | None = None
    payload_start: int = 0


def find_parts(file: IO[bytes]) -> list[Part]:
    """Return the parts of a seekable file in order, all of its bytes; whole blocks are not decoded."""
    end = file.seek(0, os.SEEK_END)
    known = _parts_of_indexes(file, end)
    parts: list[Part] = []
    offset = 0
    while offset < end:
        part = _read_part(file, offset) or known.get(offset) or _gap(file, offset, end, known)
        if part.what == "footer":
            part = _check_footer(file, part, parts[-1] if parts else None)
        elif part.trouble == _DAMAGED and part.record is not None and part.offset + part.size not in known:
            part = _cut(file, part, end)
        parts.append(part)
        offset += part.size
    if [part.what for part in parts if part.what != "gap"][-1:] not in (["footer"], ["frame"]):
        parts.append(Part("end", end, 0, "is missing"))
    return parts


def _read_part(file: IO[bytes], offset: int) -> Part | None:
    """Read the part at an offset; None unless one begins there."""
    head = _read_at(file, offset, _HEAD)
    with contextlib.suppress(LMZError):
        return _frame_of_one_block(file, offset)
    with contextlib.suppress(LMZError):
        return Part("frame header", offset, container.parse_header(head)[1])
    with contextlib.suppress(LMZError):
        return Part("footer", offset, container.parse_footer(head)[1])
    try:
        record, start = container.parse_record_header(head, 0, container.MAX_BLOCK_SIZE)
    except LMZError:
        return None
    payload = _read_at(file, offset + start, record.payload_size)
    trouble = "" if container.check32(payload) == record.payload_check else _DAMAGED
    if len(payload) < record.payload_size:
        trouble = "is cut off"
    what = "block" if record.is_data else _TYPES.get(record.type, "record")
    return Part(what, offset, start + len(payload), trouble, record.raw_size, record, start)


def _frame_of_one_block(file: IO[bytes], offset: int) -> Part:
    """Return the frame of one block at an offset; LMZError where none begins there. Only decoding it shows damage."""
    head, start = short.parse_head(_read_at(file, offset, container.MAX_DEFINITION_SIZE + _HEAD))
    size = start + head.payload_size + head.check_size
    found = len(_read_at(file, offset, size))
    return Part("frame", offset, found, "" if found == size else "is cut off", head.raw_size)


def _check_footer(file: IO[bytes], footer: Part, before: Part | None) -> Part:
    """Note where a footer is not that of the index before it."""
    size, _ = container.parse_footer(_read_at(file, footer.offset, footer.size))
    if before is not None and (before.what == "gap" or (before.what, before.size) == ("index", size)):
        return footer
    return dataclasses.replace(footer, trouble=_DAMAGED)


def _cut(file: IO[bytes], part: Part, end: int) -> Part:
    """Return a damaged record as it is in the file, where some of its bytes may have gone."""
    after = part.offset + part.size
    if after == end or _read_part(file, after) is not None:
        return part
    payload = part.offset + part.payload_start
    return dataclasses.replace(part, size=part.payload_start + _gap(file, payload, after, {}).size)


def _parts_of_indexes(file: IO[bytes], end: int) -> dict[int, Part]:
    """Return by their offsets what the indexes at the end of the file say of parts, as if they were damaged."""
    known: dict[int, Part] = {}
    with contextlib.suppress(LMZError):
        while end > 0:
            index, records_end = _read_index(file, end)
            offset = records_end - sum(size for size, _ in index.records)
            end = offset - index.header_size
            if end:  # bytes may have come or gone before the index
                container.parse_header(_read_at(file, end, _HEAD))
            known[end] = Part("frame header", end, index.header_size, _DAMAGED)
            for size, raw_size in index.records:
                known[offset] = Part("block" if raw_size else "record", offset, size, _DAMAGED, raw_size)
                offset += size
    return known


def _read_index(file: IO[bytes], end: int) -> tuple[Index, int]:
    """Return the index of the frame that ends at `end`, and its offset."""
    size, _ = container.parse_footer(_read_at(file, end - container.FOOTER_SIZE, container.FOOTER_SIZE))
    start = end - container.FOOTER_SIZE - size
    data = _read_at(file, start, size)
    record, offset = container.parse_record_header(data, 0, container.MAX_BLOCK_SIZE)
    payload, _ = container.parse_payload(data, offset, record)
    return container.parse_index(payload), start


def _gap(file: IO[bytes], offset: int, end: int, known: dict[int, Part]) -> Part:
    """Return the stretch from an offset to the next part, or to where an index says that there is one."""
    stop = min((at for at in known if at > offset), default=end)
    for start in range(offset + 1, stop, _CHUNK):
        chunk = _read_at(file, start, _CHUNK + _HEAD)
        for match in _BEGINNINGS.finditer(chunk, 0, min(_CHUNK, stop - start)):
            if _begins(chunk, match.start()):
                return Part("gap", offset, start + match.start() - offset, _DAMAGED)
    return Part("gap", offset, stop - offset, _DAMAGED)


def _begins(chunk: bytes, at: int) -> bool:
    """Whether a frame or a record begins at a place."""
    with contextlib.suppress(LMZError):
        if chunk.startswith(container.MAGIC, at):
            if container.parse_layout(chunk, at) == container.SHORT:
                short.parse_head(chunk, at)
            else:
                container.parse_header(chunk[at : at + _HEAD])
        else:
            container.parse_record_header(chunk, at, container.MAX_BLOCK_SIZE)
        return True
    return False


def _read_at(file: IO[bytes], offset: int, size: int) -> bytes:
    if offset < 0:
        return b""
    file.seek(offset)
    return file.read(size)


def decode_parts(
    file: IO[bytes], parts: Sequence[Part], model: Predictor | None = None, *, max_output: int | None = None,
    **loading: Any,
) -> Iterator[tuple[Part, bytes]]:  # fmt: skip
    """Decode the blocks: yield every part and its content, which is empty where it has none or has trouble.

    Blocks that cannot be decoded get their trouble here. model, loading: as for LMZDecompressor. Where the record
    that names a model is lost, the given one or that of the level is tried: the checksum tells whether it is the one.
    Raises ModelError where a model that is named is not there, LimitError rather than yield more than max_output.
    """
    level, definition, done = DEFAULT_LEVEL, None, 0
    for part in parts:
        content = b""
        if part.what == "frame header":
            definition = None
            if not part.trouble:
                level = container.parse_header(_read_at(file, part.offset, part.size))[0].level
        elif part.what == "model definition" and not part.trouble:
            definition = container.parse_model_definition(_payload(file, part))
        elif part.what in _BLOCKS and not part.trouble:
            done += part.content_size
            if max_output is not None and done > max_output:
                raise LimitError(f"the output would be longer than max_output, {max_output:,} bytes")
            try:
                if part.what == "frame":
                    frame, _ = short.parse_frame(_read_at(file, part.offset, part.size))
                    content = decode_short(frame, model, loading, None)
                else:
                    content = _decode(file, part, definition, model, level, loading)
            except ModelError:
                raise
            except LMZError as error:
                done -= part.content_size
                part = dataclasses.replace(part, trouble=f"cannot be decoded ({error})")
        yield part, content


def _payload(file: IO[bytes], part: Part) -> bytes:
    return _read_at(file, part.offset, part.size)[part.payload_start :]


def _decode(
    file: IO[bytes], part: Part, definition: ModelIdentity | None, given: Predictor | None, level: int,
    loading: dict[str, Any],
) -> bytes:  # fmt: skip
    assert part.record is not None
    type_, place = part.record.type, f"block at byte {part.offset:,}"
    model: Predictor | None = None
    if type_ in container.MODEL_TYPES and definition is not None:
        model = registry.model_for(definition, given, **loading)
    elif type_ in container.MODEL_TYPES:
        place += ", whose model is named in a part that is lost"
        model = given
        if model is None and type_ != container.SAMPLES:
            model = registry.load_model(LEVELS.get(level, LEVELS[DEFAULT_LEVEL]).model, **loading)
        if model is None or (model.kind == "bytes") == (type_ == container.SAMPLES):
            raise CorruptError(f"{place}: give it with -m")
    return decode_block(part.record, _payload(file, part), model, place, notify=loading.get("notify"))


def describe(parts: Sequence[Part]) -> str:
    """Say which blocks are whole, and where the trouble is."""
    blocks = [part for part in parts if part.what in _BLOCKS]
    whole = [i for i, part in enumerate(blocks, 1) if not part.trouble]
    all_found = not any(part.what in ("gap", "end") for part in parts)
    count = f"{len(blocks)}" if all_found else f"{len(blocks)} that were found"
    texts = [
        f"{_ranges(whole)} of {count} {'is' if len(whole) == 1 else 'are'} whole" if whole else "no block is whole"
    ]
    number, troubles = 0, []
    for part in parts:
        number += part.what in _BLOCKS
        if part.what == "gap" and part.trouble:
            troubles.append(f"bytes {part.offset:,} to {part.offset + part.size - 1:,} hold nothing that can be read")
        elif part.trouble:
            name = f"block {number}" if part.what in _BLOCKS else f"the {part.what}"
            troubles.append(f"{name} at byte {part.offset:,} {part.trouble}")
    texts += troubles[:_MOST_TROUBLES]
    if len(troubles) > _MOST_TROUBLES:
        texts.append(f"so it is in {len(troubles) - _MOST_TROUBLES} more places")
    return "; ".join(texts)


def _ranges(numbers: Sequence[int]) -> str:
    """Name blocks: `block 4`, `blocks 1 to 3 and 5`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] + 1 == number:
            runs[-1].append(number)
        else:
            runs.append([number])
    names = [str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs]
    listed = ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else names[0]
    return f"block{'s' if len(numbers) > 1 else ''} {listed}"


def missing_size(parts: Sequence[Part]) -> int | None:
    """Return how many bytes of content are in parts with trouble; None where that is not known."""
    if any(part.what in ("gap", "end") for part in parts):
        return None
    return sum(part.content_size for part in parts if part.trouble)
