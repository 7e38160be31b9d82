"""Learn the prior of a model's ensemble: `python -m lmzip.models.training.prior MODEL CORPORA`.

Documents of all domains, in the proportion of the training crops, are coded one after the other; what
the mixer and the maps have learnt stays, what the counters and matches know of a document does not.
The weights are the mean of those behind each of the last documents. Writes MODEL/prior.safetensors; the
model's sha256 changes.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path

import click
import numpy as np
from tqdm import tqdm

from lmzip.models.networks.load import load_folder
from lmzip.models.networks.text import TextModel
from lmzip.models.store import PRIOR, fingerprint
from lmzip.models.text.ensemble import Ensemble
from lmzip.models.text.prior import make_prior
from lmzip.models.training.pack import WEIGHTS

LEARNT = ("weights", "final_weights", "match_maps", "state_maps", "network_maps", "apms")
WINDOWS = 2
LARGEST_SHARE = (
    0.3  # of the documents that one domain gives: what is said of prose holds sooner than what is said of data
)


def pieces(corpora: Path, count: int, size: int, seed: int) -> list[bytes]:
    """Return random pieces of `size` bytes, or whole shorter documents, of all domains' files."""
    rng = np.random.default_rng(seed)
    shares = {domain: min(weight, LARGEST_SHARE) for domain, weight in WEIGHTS.items()}
    result = []
    for domain, share in shares.items():
        files = sorted((corpora / domain).glob("*.txt"))
        for i in range(round(count * share / sum(shares.values()))):
            data = files[i % len(files)].read_bytes()
            start = int(rng.integers(0, max(1, len(data) - size)))
            start = data.rfind(b"\0", 0, start) + 1 if rng.random() < 0.5 else start  # the beginning of a document
            result.append(data[start : start + size].split(b"\0")[0])
    kept = [piece for piece in result if len(piece) >= 1000]
    return [kept[i] for i in rng.permutation(len(kept))]


def learn(model: TextModel, data: bytes, tables: dict[str, np.ndarray]) -> float:
    """Code data beginning with the tables, which learn it; return the code length in bits."""
    symbols = model.encode(data)
    table = symbols[: len(symbols) // WINDOWS * WINDOWS].reshape(WINDOWS, -1)
    ensemble = Ensemble(model.tree, WINDOWS, len(data), 0, True)
    for name, learnt in tables.items():
        getattr(ensemble.tables, name)[:] = learnt
    session, bits = model.begin(WINDOWS, False, 64), 0.0
    for start in range(0, table.shape[1], 64):
        piece = table[:, start : start + 64]
        chosen, probabilities = ensemble.encode(piece.T, session.prefill(piece))
        p = probabilities / 65536
        bits -= np.log2(np.where(chosen == 1, p, 1 - p)).sum()
    tables.update({name: getattr(ensemble.tables, name) for name in LEARNT})
    return bits


@click.command()
@click.argument("folder", metavar="MODEL", type=click.Path(path_type=Path, exists=True))
@click.argument("corpora", type=click.Path(path_type=Path, exists=True))
@click.option("--count", default=240, help="Pieces to learn from.")
@click.option("--size", default=24_000, help="Bytes of a piece.")
@click.option("--seed", default=0)
def main(folder: Path, corpora: Path, count: int, size: int, seed: int) -> None:
    """Learn from documents of CORPORA what the ensemble of MODEL begins with."""
    (folder / PRIOR).unlink(missing_ok=True)
    model = load_folder(folder)
    if not isinstance(model, TextModel):
        raise click.ClickException(f"{folder}: a model of {model.kind}; only text models have an ensemble")
    begun = Ensemble(model.tree, WINDOWS, size, 0, True).tables
    tables: dict[str, np.ndarray] = {}
    last: deque[np.ndarray] = deque(maxlen=max(1, count // 4))
    bits = total = 0.0
    for piece in tqdm(pieces(corpora, count, size, seed), unit="piece"):
        bits += learn(model, piece, tables)
        total += len(piece)
        last.append(tables["weights"].astype(np.int64))
    make_prior(begun._replace(**tables), np.sum(last, axis=0) // len(last), begun).save(folder / PRIOR)
    click.echo(f"{bits / total:.4f} bits/byte; sha256 {fingerprint(folder).hex()}")


if __name__ == "__main__":
    main()
