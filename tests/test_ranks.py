"""Ranks: of every symbol, with ties, and as bytes; blocks of them."""

from __future__ import annotations

import numpy as np
import pytest
from mocks import bigram, markov_text, uniform

import lmzip
from lmzip import container
from lmzip.blocks.ranks import pack_ranks, unpack_ranks
from lmzip.blocks.select import decode_payload
from lmzip.coders import CoderError, ranks_of, symbols_of
from lmzip.container import RANK, LockstepHead
from lmzip.errors import CorruptError
from lmzip.varint import create_varint

TEXT = markov_text(2400)


@pytest.mark.parametrize("values", [2, 5, 1 << 20])
@pytest.mark.parametrize("alphabet", [1, 2, 97])
def test_ranks_are_those_of_a_stable_sort(values: int, alphabet: int) -> None:
    row = np.random.default_rng(values).integers(1, values, alphabet, endpoint=True).astype(np.uint32)
    frequencies, symbols = np.tile(row, (alphabet, 1)), np.arange(alphabet, dtype=np.int32)
    ranks = ranks_of(symbols, frequencies)
    assert (np.argsort(-row.astype(np.int64), kind="stable")[ranks] == symbols).all()
    assert (symbols_of(ranks, frequencies) == symbols).all()


def test_a_rank_of_a_large_vocabulary() -> None:
    frequencies = np.random.default_rng(0).integers(1, 9, (4, 1 << 18)).astype(np.uint32)
    symbols = np.array([0, 1, 77_777, (1 << 18) - 1], np.int32)
    assert (symbols_of(ranks_of(symbols, frequencies), frequencies) == symbols).all()


@pytest.mark.parametrize("rank", [-1, 7])
def test_a_rank_that_no_symbol_has(rank: int) -> None:
    with pytest.raises(CoderError, match=f"rank {rank} in an alphabet of 7 symbols"):
        symbols_of(np.array([0, rank], np.int32), np.ones((2, 7), np.uint32))


def test_ranks_as_bytes() -> None:
    ranks = np.array([0, 1, 127, 128, 16383, 16384, (1 << 21) - 1, 0], np.int32)
    data = pack_ranks(ranks)
    assert data == b"".join(create_varint(int(rank)) for rank in ranks)
    assert (unpack_ranks(data, len(ranks), "block") == ranks).all()
    assert pack_ranks(ranks[:0]) == b"" and len(unpack_ranks(b"", 0, "block")) == 0
    for bad, count in ((data, 7), (data[:-1], 8), (data + b"\x80", 8), (b"\x80\0", 1), (b"\xff\xff\xff\x01", 1)):
        with pytest.raises(CorruptError, match="block: "):
            unpack_ranks(bad, count, "block")


def test_blocks_of_ranks_that_cannot_be() -> None:
    def payload(ranks: bytes, packer: int = container.LZMA) -> bytes:
        from lmzip.blocks import fallback

        pack = {container.LZMA: fallback.encode_lzma, container.ZSTD: fallback.zstd.compress}[packer]
        head = container.create_lockstep_head(RANK, LockstepHead(3, 1, packer, True))
        return head + create_varint(len(ranks)) + pack(ranks)

    model = uniform()
    for packer in (container.ZSTD, container.LZMA):
        assert decode_payload(RANK, payload(b"\1\2\3", packer), 3, model) == b"\1\2\3"
        for wrong in (b"\1\2", b"\1\2\3\4", b"\1\2\x80\2", b"\1\2\xff"):
            with pytest.raises(CorruptError, match="rank block"):
                decode_payload(RANK, payload(wrong, packer), 3, model)
        with pytest.raises(CorruptError, match="rank block: not exactly one"):
            decode_payload(RANK, payload(b"\1\2\3", packer)[:-1], 3, model)
    with pytest.raises(CorruptError, match="no model definition"):
        decode_payload(RANK, payload(b"\1\2\3"), 3, None)


def test_a_file_of_ranks() -> None:
    model = bigram(TEXT)
    packed = {method: lmzip.compress(TEXT, method=method, model=model) for method in ("ensemble", "model", "rank")}
    assert len(packed["model"]) < len(packed["rank"]) < len(TEXT)
    assert lmzip.decompress(packed["rank"], model=model) == TEXT
