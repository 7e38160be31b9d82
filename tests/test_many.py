"""Many short texts at once: the same frames as one by one."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from media import png
from mocks import uniform

import lmzip
from lmzip import many
from lmzip.errors import LMZError

PROSE = (Path(__file__).parent.parent / "corpora" / "samples" / "france_at_war.txt").read_bytes()


def pieces() -> list[bytes]:
    rng = random.Random(5)
    texts = [PROSE[start : start + rng.randrange(1, 300)] for start in rng.sample(range(len(PROSE) - 300), 40)]
    noise = [rng.randbytes(size) for size in (1, 20, 500)]
    return [*texts, *noise, b"", PROSE[:2048], PROSE[:2049], png(), bytes(1000), bytes(range(256)) * 3]


@pytest.mark.parametrize("options", [{}, {"level": 9, "coder": "rans"}, {"level": 4, "verify": False}, {"level": 2}])
def test_frames_are_those_of_single_calls(monkeypatch: pytest.MonkeyPatch, options: dict[str, object]) -> None:
    monkeypatch.setattr(many, "BATCH", 16)
    texts = pieces()
    frames = lmzip.compress_many(texts, **options)  # type: ignore[arg-type]
    assert frames == [lmzip.compress(text, **options) for text in texts]  # type: ignore[arg-type]
    assert [lmzip.decompress(frame) for frame in frames] == texts


def test_other_models_and_methods() -> None:
    texts = [b"one text", b"another text, a little longer"]
    model = uniform()
    for method in ("auto", "ensemble", "model", "fallback", "adaptive"):
        frames = lmzip.compress_many(texts, model=model, method=method)
        assert [lmzip.decompress(frame, model=model) for frame in frames] == texts
    assert lmzip.compress_many([]) == []


def test_batches_are_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many, "_encode_batch", lambda *arguments: [bytes([0x21, 2]) + bytes(8)] * 2)
    with pytest.raises(LMZError, match="did not decode to itself"):
        lmzip.compress_many([b"some text, and more", b"some other text"])


def test_texts_must_be_bytes() -> None:
    with pytest.raises(TypeError):
        lmzip.compress_many(["text"])  # type: ignore[list-item]
