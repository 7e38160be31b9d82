"""Networks as transformers evaluates them, in float32: for architectures that are not made exact. Not portable.

The last bits of a float sum depend on the batch, the kernels and the machine. So the encoder asks for exactly what the
decoder will ask for, one step of all windows after the other, and the profile records where that was; elsewhere files
are refused. Nothing promises that the same environment gives the same bits twice: every block is decoded before it is
written.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lmzip.models.extras import DISTRIBUTION, require, version
from lmzip.models.hardware import processors
from lmzip.models.networks.profile import FLOAT_PROFILE
from lmzip.models.networks.tokenized import Tokenized
from lmzip.models.networks.tokenizer import Tokenizer

if TYPE_CHECKING:
    import torch

    from lmzip.models.importing.folder import FolderSource
    from lmzip.models.text.prior import Prior

FREQUENCY_TOTAL = 1 << 24
LONGEST_CONTEXT = 2048
DEVICES = {None: "cpu", "torch": "cpu", "cuda": "cuda"}  # by backend
PACKAGES = ("numpy", "torch", "transformers")


def make_profile(threads: int, device: str) -> str:
    """Return the profile of this environment: its name, a space, and what the bits depend on as JSON."""
    require("torch", "transformers", extra="import")
    import torch

    environment = {
        "lmzip": version(DISTRIBUTION),
        **{package: importlib.metadata.version(package) for package in PACKAGES},
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "dtype": "float32",
        "kernels": torch.backends.cpu.get_cpu_capability(),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "threads": threads,
    }
    return f"{FLOAT_PROFILE} {json.dumps(environment, sort_keys=True)}"


class FloatModel(Tokenized):
    """A tokenizer and a float network. See `lmzip.models.protocols.Model`."""

    most_windows = 64
    is_large = False
    prior: Prior | None = None

    def __init__(
        self, model_id: str, sha256: bytes, tokenizer: Tokenizer, network: torch.nn.Module, ids: list[int], start: int,
        context: int, threads: int, device: str = "cpu",
    ) -> None:  # fmt: skip
        """ids: the network's own of every symbol. start: the one before a window. context: positions, at most."""
        super().__init__(tokenizer)
        self.id, self.sha256, self.profile = model_id, sha256, make_profile(threads, device)
        self.network, self.ids, self.start = network, np.array(ids, np.int64), start
        self.context, self.threads, self.device = context, threads, device

    def begin(self, windows: int, file_start: int, steps: int = 1, beside: int = 0) -> FloatSession:
        """See Model.begin."""
        return FloatSession(self, windows)


class FloatSession:
    """See `lmzip.models.protocols.Session`."""

    def __init__(self, model: FloatModel, windows: int) -> None:
        self._model = model
        self._history = np.full((windows, 1), model.start, np.int64)  # ids that the network has read or reads next
        self._cache: Any = None

    def predict(self) -> NDArray[np.uint32]:
        """See Session.predict."""
        import torch

        from lmzip.models.exact.torch.threads import torch_threads

        model = self._model
        if self._history.shape[1] > model.context:  # half of it is read again
            self._history, self._cache = self._history[:, -(model.context // 2) :], None
        ids = self._history if self._cache is None else self._history[:, -1:]
        with torch_threads(model.threads), torch.inference_mode():
            tensor = torch.from_numpy(np.ascontiguousarray(ids)).to(model.device)
            cached = {} if self._cache is None else {"past_key_values": self._cache}
            result = model.network(input_ids=tensor, use_cache=True, **cached)
            logits = result.logits[:, -1].float().cpu().numpy()
        self._cache = getattr(result, "past_key_values", None)  # None: all is read again at every step
        return frequencies_of(logits[:, model.ids])

    def update(self, symbols: NDArray[np.int32]) -> None:
        """See Session.update."""
        self._history = np.concatenate((self._history, self._model.ids[symbols][:, None]), axis=1)

    def prefill(self, symbols: NDArray[np.int32]) -> NDArray[np.uint32]:
        """See Session.prefill. Step by step, as the decoder will."""
        rows = []
        for column in symbols.T:
            rows.append(self.predict())
            self.update(column)
        return np.stack(rows)


def frequencies_of(logits: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Return frequencies (windows, alphabet) of at least 1 that add up to 2**24; ValueError where a logit is NaN."""
    weights = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    if not np.isfinite(weights).all():
        raise ValueError("the network gives numbers that are not finite")
    shares = (FREQUENCY_TOTAL - logits.shape[1]) * (1 - 2.0**-40) / weights.sum(axis=1, keepdims=True)
    frequencies = 1 + (weights * shares).astype(np.int64)
    frequencies[np.arange(len(logits)), logits.argmax(axis=1)] += FREQUENCY_TOTAL - frequencies.sum(axis=1)
    return frequencies.astype(np.uint32)


def identify(source: FolderSource) -> tuple[str, bytes]:
    """Return a float network's id and sha256, which are of all of its files."""
    digest = hashlib.sha256()
    for path in [source.folder / "config.json", source.folder / "tokenizer.json", *source.files]:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return f"float:{source.config.get('model_type', 'model')}-{digest.hexdigest()[:12]}", digest.digest()


def load_float_model(folder: str | Path, threads: int | None = None, backend: str | None = None) -> FloatModel:
    """Load a Hugging Face causal LM from its folder: safetensors only, no code of its own.

    threads: None for all that the process may use. backend: None and `torch` for the CPU, or `cuda`.
    Raises ValueError where a file is missing, malformed or not supported, ImportError without transformers.
    """
    from lmzip.models.importing.folder import FolderSource
    from lmzip.models.importing.importer import start_id
    from lmzip.models.importing.vocabulary import convert
    from lmzip.models.networks.imported_tokenizer import ImportedTokenizer

    if backend not in DEVICES:
        raise ValueError(f"the backend {backend} evaluates no float networks; torch and cuda do")
    require("torch", "transformers", extra="import")
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()  # a library is silent
    source, device = FolderSource(Path(folder)), DEVICES[backend]
    vocabulary = convert(source.tokenizer)
    network: Any = transformers.AutoModelForCausalLM.from_pretrained(
        str(source.folder), dtype=torch.float32, trust_remote_code=False, use_safetensors=True, local_files_only=True
    )
    rows = network.get_output_embeddings().weight.shape[0]
    if max(vocabulary.ids) >= rows:
        raise ValueError(f"the tokenizer has the id {max(vocabulary.ids)}, the network {rows} of them")
    model_id, sha256 = identify(source)
    context = getattr(network.config, "max_position_embeddings", None) or LONGEST_CONTEXT
    return FloatModel(
        model_id, sha256,
        ImportedTokenizer(vocabulary.values), network.eval().to(device), vocabulary.ids,
        start_id(source.config, source.tokenizer, vocabulary), min(context, LONGEST_CONTEXT),
        threads or processors(), device,
    )  # fmt: skip


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"
