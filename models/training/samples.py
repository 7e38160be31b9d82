"""Spell pictures or sound for training: `python -m lmzip.models.training.samples KIND FOLDER OUT`.

FOLDER holds pictures that Pillow reads, or sound that soundfile reads. OUT gets what `pack` makes of texts: the
alphabet and a piece of symbols, for `train` and `export`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from lmzip.models.networks.residuals import ALPHABET, symbols_of
from lmzip.models.store import SAMPLE_KINDS, create_alphabet

SHARE_OF_GREY = 0.1
MOST = 1 << 18  # symbols of a picture's part or a recording's
SOUND_DEPTHS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}


def picture(path: Path, rng: np.random.Generator) -> tuple[NDArray[np.uint8], int]:
    """Return a part of a picture (height, width, 3), or (height, width, 1) of some, and its depth."""
    image = Image.open(path)
    pixels = np.asarray(image.convert("L" if rng.random() < SHARE_OF_GREY else "RGB"))
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    side = int((MOST / pixels.shape[2]) ** 0.5)
    y, x = (int(rng.integers(0, max(1, size - side + 1))) for size in pixels.shape[:2])
    return pixels[y : y + side, x : x + side], 8


def sound(path: Path, rng: np.random.Generator) -> tuple[NDArray[np.int32], int]:
    """Return a part of a recording (frames, channels), and its depth."""
    with soundfile.SoundFile(path) as file:
        depth = SOUND_DEPTHS[file.subtype]
        frames = MOST // file.channels
        file.seek(int(rng.integers(0, max(1, len(file) - frames + 1))))
        return file.read(frames, dtype="int32", always_2d=True) >> 32 - depth, depth


def sequences(kind: str, folder: Path, seed: int) -> Iterator[NDArray[np.int32]]:
    """Yield the symbols of every file, the mark of a beginning before them; the last files are for validation."""
    rng = np.random.default_rng(seed)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    rng.shuffle(paths)
    for path in tqdm(paths, unit="file"):
        try:
            samples, depth = (picture if kind == "image" else sound)(path, rng)
        except (UnidentifiedImageError, soundfile.LibsndfileError, KeyError):
            continue
        yield np.concatenate(([ALPHABET], symbols_of(kind, samples, depth)))


@click.command()
@click.argument("kind", type=click.Choice(SAMPLE_KINDS))
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--seed", default=0)
def main(kind: str, folder: Path, out: Path, seed: int) -> None:
    """Spell the files of FOLDER into OUT."""
    pieces = list(sequences(kind, folder, seed))
    if not pieces:
        raise click.ClickException(f"{folder}: nothing of the kind {kind} there")
    out.mkdir(parents=True, exist_ok=True)
    (out / "tokenizer.json").write_text(create_alphabet(kind), encoding="utf-8")
    symbols = np.concatenate(pieces).astype(np.uint16)
    np.save(out / f"{kind}-000.npy", symbols)
    click.echo(f"{len(symbols):,} symbols of {len(pieces)} files")


if __name__ == "__main__":
    main()
