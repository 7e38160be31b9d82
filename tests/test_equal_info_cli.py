"""Token files and the commands that make and read them."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from command import MODEL, SHORT, Call
from mocks import uniform

from lmzip import equal_info
from lmzip.equal_info.token_file import create_token_file, parse_token_file
from lmzip.errors import CorruptError, TruncatedError, UnsupportedError

TOKENS = equal_info.encode(SHORT, 24, 16, MODEL)
FILE = create_token_file(TOKENS, 24, MODEL, SHORT)


@pytest.mark.parametrize("options", [[], ["--bits", "24", "--token-bits", "16"], ["--bits", "64", "--optimal"]])
def test_there_and_back(options: list[str], call: Call, mock_model: list[tuple[object, ...]], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(SHORT)
    outcome = call("equal-info", "encode", "a.txt", *options)
    assert outcome.code == 0 and "tokens of" in outcome.err
    tokens = safetensors.numpy.load_file(tmp_path / "a.txt.safetensors")["tokens"]
    bits = int(options[1]) if options else 16
    assert tokens.dtype == (np.uint16 if "16" in options else np.uint8)
    assert equal_info.decode(tokens, bits, MODEL) == SHORT
    assert call("equal-info", "decode", "a.txt.safetensors").code == 3  # a.txt is there
    assert call("equal-info", "decode", "-m", "x", "a.txt.safetensors", "-o", "b.txt").code == 0
    assert (tmp_path / "b.txt").read_bytes() == SHORT
    assert call("equal-info", "decode", "-m", "x", "a.txt").code == 2


def test_an_empty_file(call: Call, mock_model: list[tuple[object, ...]], tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    assert call("equal-info", "encode", "a").code == 0
    assert call("equal-info", "decode", "-m", "x", "-f", "a.safetensors").code == 0
    assert (tmp_path / "a").read_bytes() == b""


def test_what_cannot_be_decoded(call: Call, mock_model: list[tuple[object, ...]], tmp_path: Path) -> None:
    for name, file, code, message in (
        ("missing", FILE, 4, "which does not ship"),
        ("other", create_token_file(TOKENS, 24, uniform(), SHORT), 4, "needs the model mock-uniform"),
        ("damaged", create_token_file(TOKENS ^ np.uint16(1), 24, MODEL, SHORT), 1, "not the 400 it was made of"),
        ("empty", b"", 1, "ends too early"),
    ):
        (tmp_path / f"{name}.safetensors").write_bytes(file)
        model = [] if name == "missing" else ["-m", "x"]
        outcome = call("equal-info", "decode", f"{name}.safetensors", *model)
        assert outcome.code == code and message in outcome.err
        assert not (tmp_path / name).exists()
    assert call("equal-info", "decode", "nothing.safetensors").code == 1
    assert call("equal-info", "encode", "-").code == 2
    assert call("equal-info", "encode", "--bits", "17", "missing.safetensors").code == 2


def test_token_files() -> None:
    found = parse_token_file(FILE)
    assert (found.tokens == TOKENS).all() and (found.bits, found.content_size) == (24, len(SHORT))
    assert (found.model.id, found.model.sha256, found.model.profile) == (MODEL.id, MODEL.sha256, MODEL.profile)
    for size in range(len(FILE)):
        with pytest.raises((TruncatedError, CorruptError)):
            parse_token_file(FILE[:size])
    for i in range(len(FILE) - TOKENS.nbytes):  # of the metadata; damage of tokens is found by `check`
        with contextlib.suppress(CorruptError, TruncatedError, UnsupportedError):
            parse_token_file(FILE[:i] + bytes([FILE[i] ^ 4]) + FILE[i + 1 :])
    metadata = {"format": "lmzip equal-info 1", "bits": "16", "model": "", "profile": "", "model_sha256": "00" * 32,
                "content_size": "0", "content_sha256": ""}  # fmt: skip
    tokens = {"tokens": np.zeros(4, np.uint8)}
    parse_token_file(safetensors.numpy.save(tokens, metadata))
    for tensors, changed, error in (
        (tokens, {"format": "lmzip equal-info 2"}, UnsupportedError),
        (tokens, {"format": "pt"}, CorruptError),
        (tokens, {"bits": "17"}, CorruptError),
        (tokens, {"bits": "x"}, CorruptError),
        (tokens, {"model_sha256": "zz"}, CorruptError),
        ({"tokens": np.zeros(4, np.int64)}, {}, CorruptError),
        ({"tokens": np.zeros((2, 2), np.uint8)}, {}, CorruptError),
        ({"other": np.zeros(4, np.uint8)}, {}, CorruptError),
    ):
        with pytest.raises(error, match="token file"):
            parse_token_file(safetensors.numpy.save(tensors, metadata | changed))
    with pytest.raises(CorruptError):
        parse_token_file(safetensors.numpy.save(tokens))


def test_report(call: Call, mock_model: list[tuple[object, ...]], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(SHORT)
    outcome = call("equal-info", "report", "a.txt", "--bytes", "200", "-q")
    assert outcome.code == 0 and "200 bytes" in outcome.out.decode() and outcome.out.count(b"yes") == 5
    outcome = call("equal-info", "report", "a.txt", "--bits", "16", "--optimal", "--json")
    entry = json.loads(outcome.out)
    assert entry["error"] is None and [row["bits"] for row in entry["rows"]] == [16] and entry["rows"][0]["verified"]
    assert call("equal-info", "report", "nothing").code == 1
