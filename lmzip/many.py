"""Many short texts at once: each becomes a frame of its own, and the network reads them as the windows of one batch.

The frames are those that `compress` makes of each. What costs most of a short text is to ask the network step by step;
a batch asks for one step of all its texts together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from itertools import repeat
from typing import NamedTuple, cast

import numpy as np

from lmzip import container
from lmzip.blocks import select
from lmzip.blocks.fallback import encode_fallback
from lmzip.blocks.lockstep import CALL_FREQUENCIES, Symbols
from lmzip.blocks.text import encode_in_lockstep, ensemble_for, head_for
from lmzip.coders import CODERS, CoderError
from lmzip.compressor import Buffer, LMZCompressor
from lmzip.container import LockstepHead, short
from lmzip.formats import detect
from lmzip.models import registry
from lmzip.models.hardware import processors
from lmzip.models.identity import ModelIdentity
from lmzip.models.networks.profile import is_portable
from lmzip.models.protocols import Model, Predictor
from lmzip.options import Options

BATCH = 64  # texts that the network reads together


class _Text(NamedTuple):
    """A short text: its place among all, its bytes, and its symbols."""

    place: int
    data: bytes
    symbols: Symbols


def compress_many(
    texts: Iterable[Buffer], level: int = 6, *, model: Predictor | None = None, method: str = "auto",
    coder: str = "range", verify: bool = True, kind: str = "auto", threads: int | None = None,
    backend: str | None = None, notify: Callable[[str], None] | None = None,
) -> list[bytes]:  # fmt: skip
    """Compress each of many texts to a frame of its own; return the frames in the order of the texts.

    Every frame is what `compress` makes of that text alone. Texts of up to 2 KiB gain time: the network reads 64 of
    them together. Options as for LMZCompressor.
    """
    options = Options(level, coder, verify, method, kind)
    datas = [bytes(memoryview(text).cast("B")) for text in texts]
    found = model
    if found is None and options.wants_model and any(map(len, datas)):
        found = registry.load_model(options.model_for("bytes"), threads=threads, backend=backend, notify=notify)
    frames: dict[int, bytes] = {}
    if found is not None and found.kind == "bytes" and is_portable(found.profile):
        network = cast(Model, found)
        batched = [
            _Text(place, data, network.encode(data))
            for place, data in enumerate(datas)
            if _fits(data, network, options)
        ]
        frames = dict(_compress_batched(batched, network, options, threads or processors()))
    for place, data in enumerate(datas):
        if place not in frames:
            compressor = LMZCompressor(
                level, model=found, method=method, coder=coder, verify=verify, kind=kind, threads=threads,
                backend=backend, notify=notify, content_size=len(data),
            )  # fmt: skip
            frames[place] = compressor.compress(data) + compressor.flush()
    return [frames[place] for place in range(len(datas))]


def _fits(data: bytes, network: Model, options: Options) -> bool:
    """Whether a text goes into a batch: one window of the ensemble, and no picture or recording."""
    if not 0 < len(data) <= select.SHORT_SIZE or (options.deconstructs and detect(data) is not None):
        return False
    one_window = min(options.settings.windows(len(data)), network.most_windows) == 1
    return one_window and select.lockstep_type(data, network, options) == container.ENSEMBLE


def _compress_batched(
    texts: list[_Text], network: Model, options: Options, threads: int
) -> Iterator[tuple[int, bytes]]:
    """Yield (place, frame) of every text."""
    definition = ModelIdentity(network.id, network.sha256, network.profile)
    with ThreadPoolExecutor(threads, thread_name_prefix="lmzip-many") as pool:
        for batch in _batches(texts, network.alphabet):
            heads = [head_for(container.ENSEMBLE, t.data, t.symbols, network, True, options) for t in batch]
            codes = _encode_batch(batch, heads, network, pool)
            if options.verify:
                _verify_batch(batch, codes, network, pool)
            for text, (type_, payload) in zip(batch, pool.map(_choose, batch, codes, repeat(options)), strict=True):
                model = definition if type_ == container.ENSEMBLE else None
                head = short.ShortHead(type_, len(text.data), len(payload), model)
                yield text.place, short.create_frame(head, payload, text.data)


def _batches(texts: list[_Text], alphabet: int) -> Iterator[list[_Text]]:
    """Cut texts into batches of some that are about as long as each other, and whose frequencies fit into memory."""
    texts = sorted(texts, key=lambda text: len(text.symbols), reverse=True)
    while texts:
        size = max(1, min(BATCH, CALL_FREQUENCIES // (len(texts[0].symbols) * alphabet)))
        yield texts[:size]
        texts = texts[size:]


def _choose(text: _Text, code: bytes, options: Options) -> tuple[int, bytes]:
    """Return the (record type, payload) that encode_block chooses, `code` being that of the ensemble."""
    candidates = [(container.STORED, text.data), encode_fallback(text.data), (container.ENSEMBLE, code)]
    if select.wants_adaptive(text.data, min(len(payload) for _, payload in candidates[1:]), options):
        adaptive = encode_in_lockstep(
            container.ADAPTIVE, text.data, None, True, options, lambda: None, lambda done: None
        )  # fmt: skip
        candidates += [] if adaptive is None else [(container.ADAPTIVE, adaptive)]
    type_, payload = min(candidates, key=lambda candidate: len(candidate[1]))
    if options.verify and type_ != container.ENSEMBLE:
        select.verify(type_, payload, text.data, None)
    return type_, payload


def _table(batch: Sequence[_Text]) -> Symbols:
    """Return the symbols of a batch (texts, steps), filled up with 0."""
    table = np.zeros((len(batch), max(len(text.symbols) for text in batch)), np.int32)
    for row, text in zip(table, batch, strict=True):
        row[: len(text.symbols)] = text.symbols
    return table


def _encode_batch(batch: Sequence[_Text], heads: Sequence[LockstepHead], network: Model, pool: Executor) -> list[bytes]:
    """Return the payloads of the ensemble. Twin: _verify_batch."""
    table = _table(batch)
    frequencies = network.begin(len(batch), len(batch), table.shape[1]).prefill(table)

    def encode(i: int) -> bytes:
        encoder, ensemble = CODERS[heads[i].coder][0](), ensemble_for(heads[i], len(batch[i].data), network)
        symbols = batch[i].symbols
        encoder.encode_bits(*ensemble.encode(symbols[:, None], frequencies[: len(symbols), i : i + 1]))
        ensemble.release()
        return container.create_lockstep_head(container.ENSEMBLE, heads[i]) + encoder.finish()

    return list(pool.map(encode, range(len(batch))))


def _verify_batch(batch: Sequence[_Text], payloads: Sequence[bytes], network: Model, pool: Executor) -> None:
    """Decode payloads of the ensemble again; raise LMZError unless each gives its text.

    The network is asked step by step, as a decoder asks it, and is told the symbols of the texts. A decoder would tell
    it those that it decoded: the same ones, as long as each equals the text's.
    """
    from lmzip.coders.bits import finish_bits, open_bits  # numba takes its time

    table = _table(batch)
    frequencies = np.empty((table.shape[1], len(batch), network.alphabet), np.uint32)
    session = network.begin(len(batch), len(batch))
    for step, symbols in enumerate(table.T):
        frequencies[step] = session.predict()
        session.update(symbols)

    def verify(i: int) -> None:
        data, payload = batch[i].data, payloads[i]
        try:
            head, start = container.parse_lockstep_head(container.ENSEMBLE, payload, len(data))
            reader, ensemble = open_bits(head.coder, payload[start:]), ensemble_for(head, len(data), network)
            found = ensemble.decode(range(1), head.symbols, frequencies[: head.symbols, i : i + 1], reader)
            finish_bits(reader)
            if network.decode(found[:, 0], len(data)) != data:
                raise CoderError("the decoded text is another one")
            ensemble.release()
        except (CoderError, ValueError) as error:
            raise select.failed_verification(len(data)) from error

    for _ in pool.map(verify, range(len(batch))):
        pass
