"""What an ensemble begins with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mocks import bigram, markov_text
from safetensors.numpy import load_file, save_file

from lmzip.blocks.select import decode_payload, encode_block
from lmzip.models.text.ensemble import Ensemble
from lmzip.models.text.prior import load_prior, make_prior
from lmzip.models.training.prior import LEARNT, learn
from lmzip.options import Options

TEXT = markov_text(3000)


def learnt(path: Path) -> None:
    """Write the prior that two texts teach."""
    model = bigram(TEXT)
    tables: dict[str, np.ndarray] = {}
    bits = [learn(model, TEXT[:1500], tables) for _ in range(2)]  # type: ignore[arg-type]
    assert bits[1] < bits[0]  # the mixer has learnt to trust the network
    begun = Ensemble(model.tree, 2, 1500, 0, True).tables
    assert set(tables) == set(LEARNT)
    make_prior(begun._replace(**tables), tables["weights"].astype(np.int64), begun).save(path)


def test_a_prior_helps_and_comes_back(tmp_path: Path) -> None:
    learnt(tmp_path / "prior.safetensors")
    model, taught = bigram(TEXT), bigram(TEXT)
    taught.prior = load_prior(tmp_path / "prior.safetensors")
    options = Options(method="ensemble")
    type_, payload = encode_block(TEXT[1500:], model, False, options)
    taught_type, shorter = encode_block(TEXT[1500:], taught, False, options)
    assert type_ == taught_type and len(shorter) < len(payload)
    assert decode_payload(taught_type, shorter, 1500, taught) == TEXT[1500:]


def test_other_priors_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "prior.safetensors"
    learnt(path)
    good = load_file(path)
    for name, array in (
        ("weights", good["weights"][:, 1:]),
        ("weights", good["weights"].astype(np.int32)),
        ("rows", good["rows"][1:]),
        ("rows", np.full_like(good["rows"], 60000)),
        ("final_weights", good["final_weights"][1:]),
    ):
        save_file(good | {name: np.ascontiguousarray(array)}, path)
        with pytest.raises(ValueError, match="prior"):
            load_prior(path)
    save_file({name: array for name, array in good.items() if name != "state_maps"}, path)
    with pytest.raises(ValueError, match="not a prior"):
        load_prior(path)
