"""Pixels and samples as symbols of a network: method `lm`."""

from __future__ import annotations

import dataclasses
import io
import json
import lzma
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from command import names, process
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from media import pixels, ppm, wav
from networks import make_weights
from PIL import Image

import lmzip
from lmzip import compressor, container
from lmzip.blocks.media import encode_media
from lmzip.blocks.select import decode_payload
from lmzip.cli.listing import read_frames
from lmzip.errors import CorruptError, LMZError, ModelError, UnsupportedError
from lmzip.formats import detect
from lmzip.models.exact.config import NetworkConfig
from lmzip.models.exact.torch.engine import TorchEngine
from lmzip.models.networks.load import load_folder
from lmzip.models.networks.residuals import ALPHABET, SampleModel, samples_of, symbols_of
from lmzip.models.store import create_alphabet, kind_of
from lmzip.models.training import export, train
from lmzip.models.training import samples as training
from lmzip.options import PIXELS, SOUND, Options

TINY = NetworkConfig(
    vocab_size=ALPHABET, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
    num_key_value_heads=1, head_dim=16, sliding_window=64, qk_norm=True,
)  # fmt: skip
FILES = {"image": ppm(60), "audio": wav()}
PROSE = (Path(__file__).parent.parent / "corpora" / "samples" / "france_at_war.txt").read_bytes()
SHIPPED = {"image": PIXELS, "audio": SOUND}


def make_folder(folder: Path, kind: str, config: NetworkConfig = TINY) -> Path:
    folder.mkdir()
    make_weights(config, 3).save(folder / "weights.safetensors")
    (folder / "tokenizer.json").write_text(create_alphabet(kind))
    description = {"id": f"tiny-{kind}", "profile": "exact-1", "network": json.loads(config.to_json())}
    (folder / "config.json").write_text(json.dumps(description))
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A model of random weights for each kind."""
    base = tmp_path_factory.mktemp("samples")
    return {kind: load_folder(make_folder(base / kind, kind)) for kind in FILES}


@pytest.fixture(scope="module")
def text_model() -> Any:
    return lmzip.load_model("text-11")


def blocks(packed: bytes) -> list[tuple[str, str | None]]:
    return [(block.method, block.model) for frame in read_frames(io.BytesIO(packed)) for block in frame.blocks]


# Spelling.


@st.composite
def arrays_of_a_kind(draw: st.DrawFn) -> tuple[str, np.ndarray, int]:
    kind = draw(st.sampled_from(["image", "audio"]))
    if kind == "image":
        depth, shape = draw(st.integers(1, 16)), (*draw(st.tuples(*[st.integers(1, 70)] * 2)), draw(st.integers(1, 6)))
        low, dtype = 0, np.uint8 if depth <= 8 else np.uint16
    else:
        depth, shape = draw(st.integers(1, 32)), (draw(st.integers(1, 300)), draw(st.integers(1, 6)))
        low, dtype = -(1 << depth - 1), np.int32
    edges = st.sampled_from([low, low + (1 << depth) - 1])
    values = draw(arrays.arrays(np.int64, shape, elements=edges | st.integers(low, low + (1 << depth) - 1)))
    return kind, values.astype(dtype), depth


@settings(deadline=None)  # the first one compiles
@given(arrays_of_a_kind())
def test_arrays_come_back(what: tuple[str, np.ndarray, int]) -> None:
    kind, samples, depth = what
    symbols = symbols_of(kind, samples, depth)
    assert symbols.dtype == np.int32 and symbols.min() >= 0 and symbols.max() < ALPHABET
    assert len(symbols) == samples.size * -(-depth // 8)
    again = samples_of(kind, symbols, samples.shape, depth)
    assert again.dtype == samples.dtype and np.array_equal(again, samples)


def test_what_symbols_say() -> None:
    """Of a slope nothing is left but the middle of each kind of byte; a picture goes down in strips."""
    y, x = np.mgrid[:40, :50]
    slope = np.stack((3 * y, 3 * y + 9, 3 * y + x), axis=2).astype(np.uint16)
    symbols = symbols_of("image", slope, 16)
    assert set(symbols[6 * 32 :: 6]) == {128} and set(symbols[6 * 32 + 1 :: 6]) >= {1024 + 128}
    strip = symbols[: 40 * 32 * 6].reshape(40, 32, 3, 2)
    assert (strip[1:, 1:] == [[128, 1152], [256 + 128, 1152], [512 + 128, 1152]]).all()
    line = np.stack((np.arange(-100, 100), 5 - np.arange(-100, 100)), axis=1).astype(np.int32)
    symbols = symbols_of("audio", line, 24).reshape(200, 2, 3)
    assert (symbols[2:] == [[128, 640, 1152], [384, 896, 1152]]).all()


@pytest.mark.parametrize(("kind", "depth", "symbol", "what"), [
    ("image", 8, 400, "another kind of byte"), ("audio", 16, 128, "another kind of byte"),
    ("image", 5, 255, "more than 5 bits"),
])  # fmt: skip
def test_symbols_that_stand_for_nothing(kind: str, depth: int, symbol: int, what: str) -> None:
    shape = (2, 2, 1) if kind == "image" else (2, 1)
    dtype = np.int32 if kind == "audio" else np.uint8
    symbols = symbols_of(kind, np.zeros(shape, dtype), depth)
    symbols[1] = symbol
    with pytest.raises(ValueError, match=what):
        samples_of(kind, symbols, shape, depth)


# Blocks.


def encode(data: bytes, model: Any, **options: Any) -> bytes:
    """Return the payload of a block of samples."""
    layout = detect(data)
    found = layout.deconstruct(data, 0) if layout else None
    assert found is not None
    side_data = (container.STORED, found.side_data)
    payload = encode_media(found, len(data), side_data, Options(method="lm", **options), model, lambda done: None)
    assert payload is not None
    return payload


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize(("coder", "level"), [("range", 4), ("rans", 9)])
def test_blocks_come_back(models: dict[str, Any], kind: str, coder: str, level: int) -> None:
    data = FILES[kind]
    payload = encode(data, models[kind], coder=coder, level=level)
    head, _ = container.parse_media_head(container.SAMPLES, payload, len(data))
    assert head.settings == ({4: 3 if kind == "audio" else 2, 9: 1}[level],)
    done: list[float] = []
    assert decode_payload(container.SAMPLES, payload, len(data), models[kind], done.append) == data
    assert done == sorted(done) and done[-1] == len(data)


def test_threads_and_engines_change_nothing(models: dict[str, Any]) -> None:
    model = models["audio"]
    others = [SampleModel("audio", model.id, TorchEngine(make_weights(TINY, 3), "cpu"), model.sha256),
              SampleModel("audio", model.id, model.engine, model.sha256, threads=3)]  # fmt: skip
    payload = encode(FILES["audio"], model, level=4)
    for other in others:
        assert encode(FILES["audio"], other, level=4) == payload
        assert decode_payload(container.SAMPLES, payload, len(FILES["audio"]), other) == FILES["audio"]


def test_damaged_blocks(models: dict[str, Any], text_model: Any) -> None:
    data = FILES["image"]
    payload = encode(data, models["image"])
    head, start = container.parse_media_head(container.SAMPLES, payload, len(data))

    def replaced(**changes: Any) -> bytes:
        return container.create_media_head(dataclasses.replace(head, **changes)) + payload[start:]

    def refuse(payload: bytes, model: Any, what: str, type_: int = container.SAMPLES) -> None:
        with pytest.raises(CorruptError, match=what):
            decode_payload(type_, payload, len(data), model)

    for fields in ((), (0,), (7201,), (1, 1)):
        refuse(replaced(settings=fields), models["image"], "settings of")
    refuse(payload, None, "no model definition came before it")
    refuse(payload, models["audio"], "its model, tiny-audio, is not one of image")
    refuse(payload, text_model, "its model, text-11, is not one of image")
    refuse(payload[:-40], models["image"], "samples block")
    symbols = container.create_lockstep_head(container.MODEL, container.LockstepHead(9, 1, 0, True)) + bytes(40)
    refuse(symbols, models["image"], "tiny-image is one of the kind image", container.MODEL)
    with pytest.raises(UnsupportedError, match="coder 9"):
        decode_payload(container.SAMPLES, replaced(coder=9), len(data), models["image"])


@pytest.mark.parametrize(("kind", "data"), [("image", ppm(8)), ("audio", wav(200))])
def test_damage_is_an_error_or_other_data(models: dict[str, Any], kind: str, data: bytes) -> None:
    payload, rng = encode(data, models[kind]), random.Random(9)
    for _ in range(150):
        damaged = bytearray(payload)
        for _ in range(rng.choice((1, 1, 3, 10))):
            damaged[rng.randrange(len(damaged) if rng.random() < 0.5 else 60)] = rng.randrange(256)
        end = rng.choice((None, None, None, 40))
        try:
            result = decode_payload(container.SAMPLES, bytes(damaged[:end]), len(data), models[kind])
        except LMZError:
            continue
        assert len(result) == len(data)


# Files, by the models that ship.


@pytest.mark.parametrize("kind", FILES)
def test_files_come_back(kind: str) -> None:
    data = FILES[kind]
    packed = lmzip.compress(data, method="lm")
    assert blocks(packed) == [("samples", SHIPPED[kind])]
    assert lmzip.decompress(packed) == data
    assert len(packed) < len(lzma.compress(data, preset=9))
    assert lmzip.get_frame_info(packed).model.id == SHIPPED[kind]  # type: ignore[union-attr]


def test_compressed_pictures_come_back() -> None:
    y, x = np.mgrid[:80, :90]
    grey = 128 + 60 * np.sin(x / 17) + 50 * np.sin(y / 13) + np.random.default_rng(8).normal(0, 3, (80, 90))
    smooth = np.stack((grey, grey + 4, grey - 9), axis=2)
    buffer = io.BytesIO()
    Image.fromarray(smooth.astype(np.uint8)).save(buffer, "PNG")
    packed = lmzip.compress(buffer.getvalue(), method="lm")
    assert blocks(packed) == [("samples", PIXELS)] and lmzip.decompress(packed) == buffer.getvalue()


def test_other_files_are_coded_by_the_text_model_alone() -> None:
    text = PROSE[:6000]
    packed = lmzip.compress(text, 4, method="lm")
    assert blocks(packed) == [("model", "text-11")] and lmzip.decompress(packed) == text


def test_every_block_has_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands behind the pixels of a file is text: two models in a frame, also when it is read from the middle."""
    monkeypatch.setattr(compressor, "MEDIA_BLOCK_SIZE", 3000)
    data = ppm(120) + PROSE[:9000]
    packed = lmzip.compress(data, 4, method="lm")
    assert set(blocks(packed)) == {("samples", "pixels-1"), ("model", "text-11")}
    assert lmzip.decompress(packed) == data
    with lmzip.open(io.BytesIO(packed)) as file:
        for start in (len(data) - 50, 4000):
            file.seek(start)
            assert file.read(50) == data[start : start + 50]


def test_models_of_other_kinds_are_refused(models: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="tiny-image is of the kind image; it goes with method 'lm'"):
        lmzip.LMZCompressor(model=models["image"])
    with pytest.raises(ModelError, match="a model of the kind image, where one of bytes is needed"):
        lmzip.load_model("pixels-1", kind="bytes")
    (tmp_path / "a.txt").write_bytes(b"text")
    for arguments, code, what in (
        (["compress", "-m", "sound-1"], 2, "it goes with --method lm"),
        (["equal-info", "encode", "-m", "sound-1"], 4, "where one of bytes is needed"),
        (["report", "-m", "sound-1"], 4, "where one of bytes is needed"),
        (["compress", "--mode", "lm", "--kind", "image"], 1, "cannot be coded as image"),
    ):
        run = process(*arguments, "a.txt", cwd=tmp_path)
        assert run.returncode == code and what in run.stderr.decode(), arguments
    assert names(tmp_path) == ["a.txt"]


def test_damaged_models(tmp_path: Path) -> None:
    other = dataclasses.replace(TINY, vocab_size=300)
    with pytest.raises(ModelError, match="300 outputs where samples have 1280"):
        lmzip.load_model(make_folder(tmp_path / "other", "audio", other))
    assert kind_of(create_alphabet("image")) == "image" and kind_of("{}") == "bytes"


# Training.


# Of torch, about bfloat16 beside float32 gains, which is what autocast means.
@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")
def test_a_model_is_made_of_pictures(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for i in range(6):
        Image.fromarray(np.roll(pixels(110, 110), 5 * i, 1)).save(tmp_path / "pictures" / f"{i}.png")
    (tmp_path / "pictures" / "notes.txt").write_text("no picture")

    def run(command: Any, *arguments: object) -> str:
        result = CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    assert "of 6 files" in run(training.main, "image", tmp_path / "pictures", tmp_path / "symbols")
    steps = "--hidden 64 --layers 1 --ngrams 0 --crops 2 --length 512 --threads 1 --no-compile --device cpu --steps 30"
    run(train.main, tmp_path / "symbols", tmp_path / "run", *steps.split())
    assert "held back: float" in run(export.main, tmp_path / "run", tmp_path / "symbols", tmp_path / "model", "mine")
    model = lmzip.load_model(tmp_path / "model")
    packed = lmzip.compress(FILES["image"], model=model, method="lm")
    assert blocks(packed) == [("samples", "mine")] and lmzip.decompress(packed, model=model) == FILES["image"]
    empty = CliRunner().invoke(training.main, ["audio", str(tmp_path / "pictures"), str(tmp_path / "none")])
    assert empty.exit_code == 1 and "nothing of the kind audio" in empty.output
