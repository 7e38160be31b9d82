"""Train a text model: `python -m lmzip.models.training.train TOKENS OUT --minutes M`.

TOKENS is what `pack` wrote, or `samples` for a model of pixels or samples. The float parent of the exact network
(`lmzip.models.exact`) is trained with Muon for the matrices and AdamW for the rest, in bfloat16 where the chip has it.
In the last part of the run every matrix product sees weights rounded to 7 bits and activations to 8, exactly as the
exact network rounds them, with straight-through gradients. The rate falls to zero, or it stays and the weights are
averaged (--average-from), which is what a run that goes on from trained weights wants.

The run can be stopped at any moment: the same command goes on from OUT/checkpoint.pt. The budget is time, or with
--steps a number of steps, which makes runs on a busy machine comparable; earlier runs count.
"""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path

import click
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from lmzip.models.bundle import SAMPLE_KINDS, kind_of
from lmzip.models.exact.config import NetworkConfig
from lmzip.models.exact.ngrams import BEFORE, rows_of
from lmzip.models.exact.weights import Weights
from lmzip.models.samples import ALPHABET
from lmzip.models.tokenizer import Tokenizer
from lmzip.models.training.pack import WEIGHTS

WEIGHT_MAX, ACTIVATION_MAX = 63, 127  # lmzip.models.exact.arithmetic explains the bounds
CHECKPOINT = "checkpoint.pt"  # of a run, in its folder
CHUNK = 64  # queries of windowed_attention
WARM_UP, DECAY_FROM = 0.02, 0.35  # shares of the budget
DOCUMENT_START_SHARE = 0.05  # crops that begin where a document begins
VALIDATION_SHARE = 0.005  # the end of every piece, never trained on
SHARES = {**WEIGHTS, **dict.fromkeys(SAMPLE_KINDS, 1.0)}  # of the crops


def rounded(x: Tensor, largest: int) -> Tensor:
    """Round each row to integers of at most `largest` times a scale; gradients pass straight."""
    scale = x.abs().amax(dim=-1, keepdim=True).clamp(min=1e-8) / largest
    return x + (torch.round(x / scale) * scale - x).detach()


class Matrix(nn.Linear):
    """A product without bias that can see what the exact network will see."""

    quantised = False

    def __init__(self, inputs: int, outputs: int, zero: bool = False) -> None:
        super().__init__(inputs, outputs, bias=False)
        nn.init.zeros_(self.weight) if zero else nn.init.normal_(self.weight, std=inputs**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Return the products (..., outputs)."""
        weight = self.weight
        if self.quantised:
            x, weight = rounded(x, ACTIVATION_MAX), rounded(weight, WEIGHT_MAX)
        return F.linear(x, weight)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Apply rotary position embedding to x (batch, heads, time, head_dim)."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


def windowed_attention(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    """Return what queries (batch, heads, time, head_dim) find in keys and values (batch, KV heads, time, head_dim).

    A query sees its own position and the window - 1 before it. Queries are cut into chunks, each beside all keys that
    it may see, and heads that share keys lie one below the other. So nearly everything is large plain products: on a
    CPU the whole step takes a third less time than with scaled_dot_product_attention and a mask. No maximum is taken
    off the scores before exp: queries and keys have norms.
    """
    batch, heads, time_, dim = q.shape
    kv = k.shape[1]
    chunks = -(-time_ // CHUNK)
    behind = chunks * CHUNK - time_
    queries = torch.arange(chunks * CHUNK, device=q.device).view(chunks, 1, CHUNK, 1)
    keys = queries[:, :, :1] - window + torch.arange(window + CHUNK, device=q.device)
    seen = (keys >= 0) & (keys <= queries) & (keys > queries - window)  # (chunks, 1, CHUNK, keys)
    q = F.pad(q, (0, 0, 0, behind)).view(batch, kv, heads // kv, chunks, CHUNK, dim).transpose(2, 3).flatten(3, 4)
    k, v = (F.pad(x, (0, 0, window, behind)).unfold(2, window + CHUNK, CHUNK) for x in (k, v))
    scores = (q @ k).unflatten(3, (heads // kv, CHUNK)).float() * dim**-0.5  # (batch, kv, chunks, group, CHUNK, keys)
    weights = scores.exp() * seen
    y = (weights.type_as(v).flatten(3, 4) @ v.mT).unflatten(3, (heads // kv, CHUNK))
    y = (y / weights.sum(-1, keepdim=True)).type_as(v)
    return y.transpose(2, 3).reshape(batch, heads, -1, dim)[:, :, :time_]


class Layer(nn.Module):
    """Attention and gated feed-forward, each behind a norm and added to the residual."""

    def __init__(self, c: NetworkConfig) -> None:
        super().__init__()
        self.config = c
        heads = c.num_attention_heads * c.head_dim
        self.attention_norm = nn.RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.qkv = Matrix(c.hidden_size, c.qkv_rows)
        if c.qk_norm:
            self.q_norm = nn.RMSNorm(c.head_dim, c.rms_norm_eps)
            self.k_norm = nn.RMSNorm(c.head_dim, c.rms_norm_eps)
        self.out = Matrix(heads, c.hidden_size, zero=True)
        self.mlp_norm = nn.RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.gate_up = Matrix(c.hidden_size, 2 * c.intermediate_size)
        self.down = Matrix(c.intermediate_size, c.hidden_size, zero=True)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Return the residual x (batch, time, hidden) after the layer."""
        c = self.config
        batch, time_, _ = x.shape
        qkv = self.qkv(self.attention_norm(x)).view(batch, time_, -1, c.head_dim).transpose(1, 2)
        kv = c.num_key_value_heads
        q, k, v = qkv.split((c.num_attention_heads, kv, kv), dim=1)  # (batch, heads, time, head_dim)
        if c.qk_norm:
            q, k = self.q_norm(q), self.k_norm(k)
        q, k = rotate(q, cos, sin).type_as(v), rotate(k, cos, sin).type_as(v)
        y = windowed_attention(q, k, v, c.sliding_window)
        y = y.transpose(1, 2).reshape(batch, time_, -1)
        x = x + self.out(y)
        gate, up = self.gate_up(self.mlp_norm(x)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)


class Network(nn.Module):
    """The float parent of the exact network."""

    def __init__(self, c: NetworkConfig) -> None:
        super().__init__()
        self.config = c
        self.embedding = nn.Embedding(c.vocab_size + 2, c.hidden_size)
        nn.init.normal_(self.embedding.weight, std=0.5 * c.hidden_size**-0.5)
        if c.ngram_rows:
            self.ngrams = nn.Embedding(c.ngram_rows, c.hidden_size)
            nn.init.zeros_(self.ngrams.weight)
        self.layers = nn.ModuleList(Layer(c) for _ in range(c.num_hidden_layers))
        self.norm = nn.RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.head = None if c.tie_word_embeddings else Matrix(c.hidden_size, c.vocab_size)

    def forward(self, ids: Tensor) -> Tensor:
        """Return logits (batch, time, vocab_size) after each of ids (batch, time)."""
        c = self.config
        positions = torch.arange(ids.shape[1], device=ids.device)
        steps = torch.arange(0, c.head_dim, 2, device=ids.device) / c.head_dim
        angles = positions[:, None] * c.rope_theta**-steps
        x = self.embedding(ids)
        if c.ngram_rows:
            pairs, triples = rows_of(F.pad(ids, (BEFORE, 0), value=c.cut_start), c.ngram_rows)
            x = x + self.ngrams(pairs) + self.ngrams(triples)
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        for layer in self.layers:
            x = layer(x, cos, sin)
        x = self.norm(x)
        if self.head is not None:
            return self.head(x)
        weight = self.embedding.weight[: c.vocab_size]
        if Matrix.quantised:
            x, weight = rounded(x, ACTIVATION_MAX), rounded(weight, WEIGHT_MAX)
        return F.linear(x, weight)

    def loss(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Return the mean code length in nats; targets that are marks do not count."""
        logits = self(ids).float().flatten(0, 1)
        targets = targets.flatten()
        targets = torch.where(targets < self.config.vocab_size, targets, -100)
        return F.cross_entropy(logits, targets)


def symbol_sizes(path: Path) -> list[int]:
    """Return how many bytes each symbol of an alphabet stands for."""
    if kind_of(path.read_text(encoding="utf-8")) != "bytes":
        return [1] * ALPHABET
    return [len(token) for token in Tokenizer.from_file(path).vocabulary]


class Tokens:
    """Random crops of the packed tokens, every domain with its weight."""

    def __init__(self, folder: Path, config: NetworkConfig, seed: int) -> None:
        self.config = config
        self.rng = np.random.default_rng(seed)
        self.pieces: dict[str, list[np.ndarray]] = {}
        for domain in SHARES:
            paths = sorted(folder.glob(f"{domain}-*.npy"))
            if paths:
                self.pieces[domain] = [np.load(path, mmap_mode="r") for path in paths]
        if not self.pieces:
            raise click.ClickException(f"{folder}: no packed tokens; run lmzip.models.training.pack (or samples) first")
        self.trained = {d: [int(len(p) * (1 - VALIDATION_SHARE)) for p in ps] for d, ps in self.pieces.items()}
        self.starts = {
            d: [np.flatnonzero(p[:n] == config.file_start) for p, n in zip(ps, self.trained[d], strict=True)]
            for d, ps in self.pieces.items()
        }

    def batch(self, crops: int, length: int) -> tuple[Tensor, Tensor]:
        """Return inputs and targets (crops, length) as int64; every batch has of each domain what is its share."""
        domains = list(self.pieces)
        ends = np.cumsum([SHARES[d] for d in domains])
        points = (self.rng.random() + np.arange(crops)) / crops * ends[-1]
        rows = []
        for domain in (domains[i] for i in np.searchsorted(ends[:-1], points, side="right")):
            sizes = np.array(self.trained[domain])
            i = self.rng.choice(len(sizes), p=sizes / sizes.sum())
            starts = self.starts[domain][i]
            last = max(1, sizes[i] - length - 1)
            if len(starts) and self.rng.random() < DOCUMENT_START_SHARE:
                start = min(int(self.rng.choice(starts)), last - 1)
            else:
                start = int(self.rng.integers(0, last))
            rows.append(self._crop(self.pieces[domain][i][start : start + length + 1], length))
        return self._tensors(rows)

    def validation(self, domain: str, crops: int, length: int) -> tuple[Tensor, Tensor]:
        """Return the first crops of the held-back end of a domain's last piece."""
        tail = self.pieces[domain][-1][self.trained[domain][-1] :]
        count = max(1, min(crops, len(tail) // length))
        return self._tensors([self._crop(tail[i * length : (i + 1) * length + 1], length) for i in range(count)])

    def _crop(self, tokens: np.ndarray, length: int) -> np.ndarray:
        tokens = tokens.astype(np.int64)
        if tokens[0] != self.config.file_start:
            tokens = np.concatenate(([self.config.cut_start], tokens[:-1]))
        return np.pad(tokens, (0, length + 1 - len(tokens)), constant_values=self.config.file_start)

    @staticmethod
    def _tensors(rows: list[np.ndarray]) -> tuple[Tensor, Tensor]:
        ids = torch.from_numpy(np.stack(rows))
        return ids[:, :-1], ids[:, 1:]


def schedule(progress: float, decays: bool) -> float:
    """Return the learning rate's factor: warm-up, plateau, linear decay to zero unless the weights are averaged."""
    return min(1.0, progress / WARM_UP, (1 - progress) / (1 - DECAY_FROM) if decays else 1.0)


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


def load_weights(path: Path) -> tuple[NetworkConfig, dict[str, Tensor]]:
    """Load the config and the weights of a checkpoint, their mean where the run has averaged."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    return NetworkConfig.from_dict(json.loads(state["config"])), state["mean"] or state["network"]


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
            torch.optim.Muon(matrices, lr=0.02, momentum=0.95, weight_decay=0.01)
            if optimizer == "muon"
            else torch.optim.AdamW(matrices, lr=2e-3, betas=(0.9, 0.95), weight_decay=0.1),
            torch.optim.AdamW(others, lr=4e-3, betas=(0.9, 0.95), weight_decay=0.0),
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
            config, trained = load_weights(folder / CHECKPOINT)
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

    @torch.no_grad()
    def bits_per_byte(self, crops: int = 32, length: int = 512) -> dict[str, float]:
        """Return the code length of the held-back tokens of every domain."""
        result = {}
        for domain in self.tokens.pieces:
            ids, targets = self.tokens.validation(domain, crops, length)
            nats = size = 0.0
            for x, y in zip(ids.split(8), targets.split(8), strict=True):
                x, y = x.to(self.device), y.to(self.device)
                counted = (y < self.network.config.vocab_size).sum().item()
                with torch.autocast(self.device, torch.bfloat16):
                    nats += self.network.loss(x, y).item() * counted
                size += self.token_bytes[y].sum().item()
            result[domain] = round(nats / math.log(2) / size, 4)
        return result

    def progress(self, minutes: float, steps: int) -> float:
        """Return the share of the budget that is spent: of the steps, if there are any, else of the minutes."""
        return self.steps / steps if steps else self.seconds / (60 * minutes)

    def run(
        self, minutes: float, steps: int, crops: int, length: int, quantise_from: float, average_from: float,
        compile_: bool,
    ) -> None:  # fmt: skip
        """Train until the budget is spent; from the shares quantise_from, average_from of it on round, average."""
        loss_of = torch.compile(self.network.loss) if compile_ else self.network.loss
        begun, mean, last_save = time.monotonic() - self.seconds, float("nan"), time.monotonic()
        first = self.steps + 1
        while (progress := self.progress(minutes, steps)) < 1:
            if Matrix.quantised != (progress >= quantise_from):
                Matrix.quantised = progress >= quantise_from
                loss_of = torch.compile(self.network.loss) if compile_ else self.network.loss
            groups = [group for o in self.optimizers for group in o.param_groups]
            for group, base in zip(groups, self.base_rates, strict=True):
                group["lr"] = base * schedule(progress, average_from >= 1)
            ids, targets = (t.to(self.device, non_blocking=True) for t in self.tokens.batch(crops, length))
            with torch.autocast(self.device, torch.bfloat16):
                loss = loss_of(ids, targets)
            loss.backward()
            nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            for optimizer in self.optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            if progress >= average_from:
                self.average()
            self.steps += 1
            self.tokens_seen += crops * length
            if self.steps % 20 == 0:  # .item() waits for the device
                bits = loss.item() / math.log(2) * targets.numel() / self.token_bytes[targets].sum().item()
                mean = bits if math.isnan(mean) else 0.9 * mean + 0.1 * bits
            if self.steps == first:  # compilation is not training
                begun = time.monotonic() - self.seconds
            self.seconds = time.monotonic() - begun
            if self.steps % 100 == 0:
                speed = self.tokens_seen / self.seconds
                click.echo(f"{self.steps} {progress:.1%} {mean:.4f} bits/byte {speed:.0f} tokens/s")
            if time.monotonic() - last_save > 180:
                self.save()
                last_save = time.monotonic()
        Matrix.quantised = True
        self.save()
        if self.averaged:
            self.network.load_state_dict(self.mean)
        scores = self.bits_per_byte()
        Matrix.quantised = False
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
@click.option("--crops", default=16, help="Crops in a step.")
@click.option("--length", default=512, help="Tokens in a crop.")
@click.option("--threads", default=0, help="CPU threads; 0: as torch chooses.")
@click.option("--device", default="cuda" if torch.cuda.is_available() else "cpu")
@click.option("--compile/--no-compile", "compile_", default=True)
@click.option("--seed", default=0)
def main(
    tokens: Path, out: Path, minutes: float, steps: int, hidden: int, layers: int, kv_heads: int, window: int,
    tied: bool, ngrams: int, init: Path | None, optimizer: str, rate: float, quantise_from: float,
    average_from: float, crops: int, length: int, threads: int, device: str, compile_: bool, seed: int,
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
    trainer = Trainer(network, Tokens(tokens, config, seed), sizes, out, device, optimizer, rate)
    if init is not None:
        trainer.begin_from(init)
    trainer.restore()
    trainer.run(minutes, steps, crops, length, quantise_from, average_from, compile_)


if __name__ == "__main__":
    main()
