"""Take the weights of a run to another machine in small files.

`python -m lmzip.models.training.pieces split RUN OUT` writes OUT/weights-NNN.bin of at most 16 MB each and
OUT/config.json; `... join OUT RUN` makes a run of them that can be exported, averaged, and that others can begin with.
Values have half precision, those of the table of n-grams the 4 bits that they will have in the model.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load, save

from lmzip.models.exact.config import NetworkConfig
from lmzip.models.exact.weights import NIBBLE_MAX, Matrix
from lmzip.models.training.checkpoint import load_weights, save_weights

PIECE_BYTES = 16_000_000
TABLE = "ngrams.weight"


@click.group()
def main() -> None:
    """Cut the weights of a run into small files, or make a run of such files."""


@main.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True))
@click.argument("out", type=click.Path(path_type=Path))
def split(run: Path, out: Path) -> None:
    """Write the weights of RUN into files in OUT."""
    config, weights = load_weights(run)
    tensors = {name: t.half().cpu().numpy() for name, t in weights.items() if name != TABLE}
    if TABLE in weights:
        table = Matrix.rounded(weights[TABLE].float().cpu().numpy(), NIBBLE_MAX)
        tensors |= {"ngrams.nibbles": table.nibbles, "ngrams.scale": table.scale}
    data = save(tensors)
    out.mkdir(parents=True, exist_ok=True)
    for i in range(0, len(data), PIECE_BYTES):
        (out / f"weights-{i // PIECE_BYTES:03d}.bin").write_bytes(data[i : i + PIECE_BYTES])
    (out / "config.json").write_text(config.to_json() + "\n")


@main.command()
@click.argument("pieces", type=click.Path(path_type=Path, exists=True))
@click.argument("run", type=click.Path(path_type=Path))
def join(pieces: Path, run: Path) -> None:
    """Make RUN of the files in PIECES."""
    try:
        config = NetworkConfig.from_dict(json.loads((pieces / "config.json").read_text()))
        tensors = load(b"".join(path.read_bytes() for path in sorted(pieces.glob("weights-*.bin"))))
    except (OSError, TypeError, ValueError, SafetensorError) as error:
        raise click.ClickException(f"{pieces}: not all pieces of a run's weights ({error})") from error
    weights = {name: torch.from_numpy(t.astype(np.float32)) for name, t in tensors.items() if "ngrams" not in name}
    if "ngrams.nibbles" in tensors:
        table = Matrix.from_nibbles(tensors["ngrams.nibbles"], tensors["ngrams.scale"])
        weights[TABLE] = torch.from_numpy(table.values * table.scale[:, None])
    save_weights(run, config, weights)


if __name__ == "__main__":
    main()
