"""Cut the training corpora into tokens.

`python -m lmzip.models.training.pack CORPORA OUT` reads CORPORA/<domain>/*.txt (documents joined
by NUL bytes), trains the vocabulary unless OUT holds one, and writes OUT/tokenizer.json and
OUT/<domain>-NNN.npy: uint16 token ids in pieces under 60 MiB. The id one past the vocabulary
stands before each document and means "a file begins here".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
from tqdm import tqdm

from lmzip.models.networks import tokenizer as bpe
from lmzip.models.networks.tokenizer import Tokenizer

PIECE_TOKENS = 30_000_000  # uint16: 57 MiB
SEGMENT_BYTES = 1 << 16
# Share of the vocabulary's training sample and of the training crops that each domain gets.
WEIGHTS = {"english": 0.58, "code": 0.14, "docs": 0.08, "data": 0.04, "markup": 0.05, "multilingual": 0.11}
# A share of the segments is cut with BPE-dropout or into single bytes, so that the network
# knows what to do with unusual cuts: window borders, binary data, rare names.
DROPOUT_SHARE, DROPOUT = 0.05, 0.1
BYTES_SHARE = 0.01


def documents(domain: Path) -> Iterator[bytes]:
    """Yield the documents of every file of a domain, in the order of the file names."""
    for path in sorted(domain.glob("*.txt")):
        yield from filter(None, path.read_bytes().split(b"\0"))


def vocabulary_sample(corpora: Path, total_bytes: int, seed: int = 0) -> Iterator[bytes]:
    """Yield random segments of all domains in the proportion of WEIGHTS."""
    rng = np.random.default_rng(seed)
    for domain, weight in WEIGHTS.items():
        files = sorted((corpora / domain).glob("*.txt"))
        for path in files:
            data = path.read_bytes()
            count = max(1, int(total_bytes * weight / len(files)) // SEGMENT_BYTES)
            for start in rng.integers(0, max(1, len(data) - SEGMENT_BYTES), count):
                yield data[start : start + SEGMENT_BYTES]


def tokens_of(
    document: bytes, tokenizer: Tokenizer, single_bytes: np.ndarray, dropout_share: float, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Yield a document's tokens, its beginning mark first, segment by segment."""
    yield np.array([len(tokenizer)], np.int32)
    for start in range(0, len(document), SEGMENT_BYTES):
        segment = document[start : start + SEGMENT_BYTES]
        kind = rng.random()
        if kind < BYTES_SHARE:
            yield single_bytes[np.frombuffer(segment, np.uint8)]
        else:
            yield tokenizer.encode(segment, DROPOUT if kind < BYTES_SHARE + dropout_share else None)


def pack_domain(
    domain: Path, out: Path, tokenizer: Tokenizer, limit_bytes: int, without: frozenset[bytes], dropout_share: float
) -> None:
    """Write the pieces of one domain; documents whose sha256 is in `without` are left out."""
    rng = np.random.default_rng(1)
    single_bytes = np.array([tokenizer.vocabulary.index(bytes([b])) for b in range(256)], np.int32)
    docs = [doc for doc in documents(domain) if hashlib.sha256(doc).digest() not in without]
    rng.shuffle(docs)
    pending: list[np.ndarray] = []
    pieces = count = used = 0

    def flush() -> None:
        nonlocal pending, pieces, count
        np.save(out / f"{domain.name}-{pieces:03d}.npy", np.concatenate(pending).astype(np.uint16))
        pending, pieces, count = [], pieces + 1, 0

    for document in tqdm(docs, desc=domain.name, unit="doc"):
        for tokens in tokens_of(document, tokenizer, single_bytes, dropout_share, rng):
            pending.append(tokens)
            count += len(tokens)
            if count >= PIECE_TOKENS:
                flush()
        used += len(document)
        if used >= limit_bytes:
            break
    if count:
        flush()


@click.command()
@click.argument("corpora", type=click.Path(path_type=Path, exists=True))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--vocabulary", default=4096, help="Tokens in the vocabulary.")
@click.option("--sample", default=60, help="Megabytes of text that the vocabulary is learnt from.")
@click.option("--limit", default=10_000, help="Megabytes of each domain to cut at most.")
@click.option("--split", default=bpe.SPLIT_PATTERN, help="Regular expression; no token goes beyond a match.")
@click.option("--dropout", default=DROPOUT_SHARE, help="Share of the segments that are cut with BPE-dropout.")
@click.option("--without", type=click.Path(path_type=Path, exists=True), help="Folder of documents to leave out.")
def main(
    corpora: Path, out: Path, vocabulary: int, sample: int, limit: int, split: str, dropout: float, without: Path | None
) -> None:
    """Train the vocabulary and cut every domain of CORPORA into pieces in OUT."""
    if not any(any(corpora.glob(f"{domain}/*.txt")) for domain in WEIGHTS):
        raise click.ClickException(f"{corpora}: no texts there; they belong into {', '.join(WEIGHTS)}, as NAME.txt")
    out.mkdir(parents=True, exist_ok=True)
    path = out / "tokenizer.json"
    if not path.exists():
        learnt = bpe.train(vocabulary_sample(corpora, sample * 1_000_000), vocabulary, split)
        path.write_text(learnt.to_json(), encoding="utf-8")
    tokenizer = Tokenizer.from_file(path)
    files = [f for f in without.iterdir() if f.is_file()] if without else []
    held_out = frozenset(hashlib.sha256(f.read_bytes()).digest() for f in files)
    for domain in WEIGHTS:
        pack_domain(corpora / domain, out, tokenizer, limit * 1_000_000, held_out, dropout)


if __name__ == "__main__":
    main()
