"""Train a text model: `python -m lmzip.models.training.train TOKENS OUT --minutes M`.

TOKENS is what `pack` wrote, or `samples` for a model of pixels or samples. The float parent of the exact network
(`lmzip.models.exact`) is trained with Muon for the matrices and AdamW for the rest, in bfloat16 where the chip has it.
In the last part of the run the network sees weights, rows of tables and activations rounded as the exact network rounds
them (`network.py`). The rate falls to zero, or it stays and the weights are
averaged (--average-from), which is what a run that goes on from trained weights wants.

The run can be stopped at any moment: the same command goes on from OUT/checkpoint.pt. The budget is time, or with
--steps a number of steps, which makes runs on a busy machine comparable; earlier runs count.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterable
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lmzip.models.exact.config import NetworkConfig
from lmzip.models.exact.weights import Weights
from lmzip.models.training.checkpoint import CHECKPOINT, load_weights
from lmzip.models.training.muon import Muon
from lmzip.models.training.network import Matrix, Network, window_mask
from lmzip.models.training.score import bits_per_byte
from lmzip.models.training.tokens import SHARES, Tokens, symbol_sizes, weights_of

WARM_UP, DECAY_FROM = 0.02, 0.35  # shares of the budget
VALIDATION_CROPS = 32  # of each domain
REPEATED = 0.6  # what a target counts that repeats its crop, found by trial in the ensemble (EXPERIMENTS.md)


def schedule(progress: float, decays: bool) -> float:
    """Return the learning rate's factor: warm-up, plateau, linear decay to zero unless the weights are averaged."""
    return min(1.0, progress / WARM_UP, (1 - progress) / (1 - DECAY_FROM) if decays else 1.0)


def shares_of(changes: Iterable[str]) -> dict[str, float]:
    """Return every domain's share of the crops, some of them changed by DOMAIN=SHARE."""
    shares = dict(SHARES)
    for change in changes:
        domain, _, share = change.partition("=")
        try:
            shares[domain] = float(share)
        except ValueError:
            raise click.ClickException(f"--share {change}: not DOMAIN=SHARE") from None
        if domain not in SHARES or not 0 <= shares[domain] < math.inf:
            raise click.ClickException(f"--share {change}: DOMAIN is one of {', '.join(SHARES)}, SHARE at least 0")
    return shares


def grown_layers(old: int, new: int) -> list[tuple[int, bool]]:
    """Return which of `old` layers each of `new` ones comes from, and whether it is a copy that follows it."""
    if not old <= new <= 2 * old:
        raise click.ClickException(f"a model of {old} layers can grow to {old} to {2 * old}, not {new}")
    first = (2 * old - new) // 2
    plan = [(layer, is_copy) for layer in range(old) for is_copy in (False, True)]
    return [(i, is_copy) for i, is_copy in plan if not is_copy or first <= i < first + new - old]


def grown_heads(qkv: NDArray[np.float32], old: NetworkConfig, new: NetworkConfig) -> NDArray[np.float32]:
    """Return a matrix of queries, keys and values (rows, hidden) in which groups of query heads share copies of one."""
    copies, rest = divmod(new.num_key_value_heads, old.num_key_value_heads)
    if rest or not copies:
        raise click.ClickException(
            f"{old.num_key_value_heads} heads of keys and values cannot become {new.num_key_value_heads}"
        )
    heads = qkv.reshape(-1, old.head_dim, qkv.shape[1])
    queries, others = np.split(heads, [old.num_attention_heads])
    return np.concatenate((queries, others.repeat(copies, axis=0))).reshape(new.qkv_rows, -1)


class Trainer:
    """One resumable run."""

    def __init__(
        self, network: Network, tokens: Tokens, sizes: list[int], out: Path, device: str, optimizer: str, rate: float
    ) -> None:
        """sizes: bytes of each symbol."""
        self.network, self.tokens, self.out, self.device = network.to(device), tokens, out, device
        self.token_bytes = torch.tensor([*sizes, 0, 0], device=device)
        matrices = [p for m in network.modules() if isinstance(m, Matrix) for p in m.parameters()]
        others = [p for p in network.parameters() if not any(p is m for m in matrices)]
        self.optimizers: list[torch.optim.Optimizer] = [
            Muon(matrices, lr=0.02, momentum=0.95, weight_decay=0.01)
            if optimizer == "muon"
            else torch.optim.AdamW(matrices, lr=2e-3, betas=(0.9, 0.95), weight_decay=0.1),
            torch.optim.AdamW(others, lr=4e-3, betas=(0.9, 0.95), weight_decay=0.0, fused=device == "cuda"),
        ]
        self.base_rates = [rate * group["lr"] for o in self.optimizers for group in o.param_groups]
        self.steps, self.seconds, self.tokens_seen = 0, 0.0, 0
        self.mean: dict[str, Tensor] = {}  # of the weights after each of `averaged` steps
        self.averaged = 0

    def save(self) -> None:
        """Write the checkpoint; an interrupted write leaves the old one."""
        state = {
            "network": self.network.state_dict(),
            "mean": self.mean,
            "averaged": self.averaged,
            "optimizers": [o.state_dict() for o in self.optimizers],
            "progress": (self.steps, self.seconds, self.tokens_seen),
            "config": self.network.config.to_json(),
        }
        torch.save(state, self.out / "checkpoint.tmp")
        os.replace(self.out / "checkpoint.tmp", self.out / CHECKPOINT)

    def begin_from(self, folder: Path) -> None:
        """Take over the weights of an exported model, rounded as they are, or of another run of such a network.

        A model with fewer layers grows: each of the layers in its middle is followed by a copy of
        itself that adds nothing yet, so that training begins at the loss of the smaller model. So it does
        where the model has no table of n-grams, which is zero at first, and where it has fewer heads of keys and
        values.
        """
        if (folder / CHECKPOINT).exists():
            config, trained = load_weights(folder)
            if config != self.network.config:
                raise click.ClickException(f"{folder}: a run of another network; only exported models grow")
            self.network.load_state_dict(trained)
            return
        config = NetworkConfig.from_dict(json.loads((folder / "config.json").read_text())["network"])
        weights = Weights.load(folder / "weights.safetensors", config)
        tensors = {f"{name}.weight": m.values * m.scale[:, None] for name, m in weights.matrices.items()}
        tensors |= {f"{name}.weight": gain for name, gain in weights.gains.items()}
        new = self.network.config
        tensors = {n: grown_heads(t, config, new) if n.endswith(".qkv.weight") else t for n, t in tensors.items()}
        grown = {name: tensor for name, tensor in tensors.items() if not name.startswith("layers.")}
        for layer, (source, is_copy) in enumerate(grown_layers(config.num_hidden_layers, len(self.network.layers))):
            for name, tensor in tensors.items():
                if name.startswith(f"layers.{source}."):
                    adds = name.endswith((".out.weight", ".down.weight"))
                    name = name.replace(f"layers.{source}.", f"layers.{layer}.", 1)
                    grown[name] = np.zeros_like(tensor) if is_copy and adds else tensor
        if new.ngram_rows:
            grown.setdefault("ngrams.weight", np.zeros((new.ngram_rows, new.hidden_size), np.float32))
        self.network.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in grown.items()})

    def restore(self) -> None:
        """Go on from the checkpoint if there is one."""
        if (path := self.out / CHECKPOINT).exists():
            state = torch.load(path, map_location=self.device, weights_only=True)
            self.network.load_state_dict(state["network"])
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
            self.mean, self.averaged = state["mean"], state["averaged"]
            self.steps, self.seconds, self.tokens_seen = state["progress"]
            self.tokens.rng = np.random.default_rng(self.steps)

    @torch.no_grad()
    def average(self) -> None:
        """Take the weights as they are into their mean (Polyak and Juditsky 1992)."""
        weights = self.network.state_dict()
        self.averaged += 1
        if self.averaged == 1:
            self.mean = {name: tensor.clone() for name, tensor in weights.items()}
        for name, tensor in weights.items():
            self.mean[name].lerp_(tensor, 1 / self.averaged)

    def progress(self, minutes: float, steps: int) -> float:
        """Return the share of the budget that is spent: of the steps, if there are any, else of the minutes."""
        return self.steps / steps if steps else self.seconds / (60 * minutes)

    def run(
        self, minutes: float, steps: int, crops: int, length: int, quantise_from: float, average_from: float,
        repeated: float, compile_: bool,
    ) -> None:  # fmt: skip
        """Train until the budget is spent; from the shares quantise_from, average_from of it on round, average.

        repeated: what targets count that repeat their crop (`tokens.weights_of`).
        """
        fused = compile_ and self.device == "cuda"  # FlexAttention has no gradients elsewhere
        mask = window_mask(self.network.config.sliding_window, length, self.device) if fused else None
        loss_of = torch.compile(self.network.loss) if compile_ else self.network.loss

        def learn() -> tuple[Tensor, Tensor]:
            ids, targets = self.tokens.batch(crops, length)
            weights = weights_of(ids, targets, repeated) if repeated < 1 else None
            with torch.autocast(self.device, torch.bfloat16):
                loss = loss_of(ids, targets, mask, weights)
            loss.backward()
            return loss, targets

        if compile_:  # which is not training
            for Matrix.quantised, is_used in ((False, quantise_from > 0), (True, quantise_from < 1)):
                if is_used:
                    learn()
            self.network.zero_grad()
        begun, mean, last_save = time.monotonic() - self.seconds, float("nan"), time.monotonic()
        while (progress := self.progress(minutes, steps)) < 1:
            Matrix.quantised = progress >= quantise_from
            groups = [group for o in self.optimizers for group in o.param_groups]
            for group, base in zip(groups, self.base_rates, strict=True):
                group["lr"] = base * schedule(progress, average_from >= 1)
            loss, targets = learn()
            nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            for optimizer in self.optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            if progress >= average_from:
                self.average()
            self.steps += 1
            self.tokens_seen += crops * length
            if self.steps % 20 == 0:  # .item() waits for the device; targets that repeat their crop count less here too
                bits = loss.item() / math.log(2) * targets.numel() / self.token_bytes[targets].sum().item()
                mean = bits if math.isnan(mean) else 0.9 * mean + 0.1 * bits
            self.seconds = time.monotonic() - begun
            if self.steps % 100 == 0:
                speed = self.tokens_seen / self.seconds
                click.echo(f"{self.steps} {progress:.1%} {mean:.4f} bits/byte {speed:.0f} tokens/s")
            if time.monotonic() - last_save > 180:
                self.save()
                last_save = time.monotonic()
        self.save()
        if self.averaged:
            self.network.load_state_dict(self.mean)
        scores = bits_per_byte(self.network, self.tokens, self.token_bytes, VALIDATION_CROPS, length)
        record = {
            "steps": self.steps,
            "minutes": self.seconds / 60,
            "tokens": self.tokens_seen,
            "bits_per_byte": scores,
        }
        (self.out / "training.json").write_text(json.dumps(record, indent=1) + "\n")
        click.echo(json.dumps(record))


@click.command()
@click.argument("tokens", type=click.Path(path_type=Path, exists=True))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--minutes", default=60.0, help="Time to train for, earlier runs into OUT counted in.")
@click.option("--steps", default=0, help="Steps to train for, earlier runs into OUT counted in, instead of minutes.")
@click.option("--hidden", default=256, help="Width of the residual.")
@click.option("--layers", default=6)
@click.option("--kv-heads", default=1, help="Heads of keys and values.")
@click.option("--window", default=256, help="Positions that a query sees.")
@click.option("--tied/--untied", default=True, help="Whether embedding and head are one matrix.")
@click.option("--ngrams", default=1 << 16, help="Rows of the table of pairs and triples of symbols; 0: none.")
@click.option(
    "--init",
    type=click.Path(path_type=Path, exists=True),
    help="Model folder whose weights a new run begins with; it may have fewer layers and KV heads. Or another run.",
)
@click.option("--optimizer", type=click.Choice(["muon", "adamw"]), default="muon", help="Of the matrices.")
@click.option("--rate", default=1.0, help="Factor of the learning rates.")
@click.option("--quantise-from", default=0.85, help="Share of the budget behind which products are rounded.")
@click.option(
    "--average-from",
    default=1.0,
    help="Share of the budget behind which the weights are averaged: then the rate does not fall.",
)
@click.option(
    "--repeated",
    type=click.FloatRange(0, 1),
    default=REPEATED,
    help="What a target counts that repeats a pair of its crop; 1: as others.",
)
@click.option("--crops", default=16, help="Crops in a step.")
@click.option("--length", default=512, help="Tokens in a crop.")
@click.option("--share", "shares", multiple=True, help="DOMAIN=SHARE of the crops, instead of what is usual.")
@click.option("--threads", default=0, help="CPU threads; 0: as torch chooses.")
@click.option("--device", default="cuda" if torch.cuda.is_available() else "cpu")
@click.option("--compile/--no-compile", "compile_", default=True)
@click.option("--seed", default=0)
def main(
    tokens: Path, out: Path, minutes: float, steps: int, hidden: int, layers: int, kv_heads: int, window: int,
    tied: bool, ngrams: int, init: Path | None, optimizer: str, rate: float, quantise_from: float,
    average_from: float, crops: int, length: int, repeated: float, shares: tuple[str, ...], threads: int, device: str,
    compile_: bool, seed: int,
) -> None:  # fmt: skip
    """Train a network on the packed TOKENS and keep its checkpoint in OUT."""
    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(seed)
    out.mkdir(parents=True, exist_ok=True)
    sizes = symbol_sizes(tokens / "tokenizer.json")
    config = NetworkConfig(
        vocab_size=len(sizes), hidden_size=hidden, intermediate_size=hidden * 3, num_hidden_layers=layers,
        num_attention_heads=hidden // 64, num_key_value_heads=kv_heads, head_dim=64, sliding_window=window,
        qk_norm=True, tie_word_embeddings=tied, ngram_rows=ngrams,
    )  # fmt: skip
    network = Network(config)
    click.echo(f"{sum(p.numel() for p in network.parameters()):,} weights on {device}")
    read = Tokens(tokens, config, seed, shares_of(shares), device)
    trainer = Trainer(network, read, sizes, out, device, optimizer, rate)
    if init is not None:
        trainer.begin_from(init)
    trainer.restore()
    trainer.run(minutes, steps, crops, length, quantise_from, average_from, repeated, compile_)


if __name__ == "__main__":
    main()
