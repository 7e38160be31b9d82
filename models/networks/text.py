"""Text models: a byte-level tokenizer and an exact network."""

from __future__ import annotations

from lmzip.models.exact.engine import Engine
from lmzip.models.networks.session import NetworkModel
from lmzip.models.networks.tokenized import Tokenized
from lmzip.models.networks.tokenizer import Tokenizer
from lmzip.models.text.prior import Prior


class TextModel(Tokenized, NetworkModel):
    """A tokenizer and an exact network. See `lmzip.models.protocols.Model`."""

    def __init__(
        self, model_id: str, tokenizer: Tokenizer, engine: Engine, sha256: bytes,
        threads: int | None = None, backend: str = "cpu", prior: Prior | None = None,
    ) -> None:  # fmt: skip
        """threads, backend: see NetworkModel."""
        if len(tokenizer) != engine.config.vocab_size:
            raise ValueError(f"model {model_id}: {len(tokenizer)} tokens, {engine.config.vocab_size} outputs")
        Tokenized.__init__(self, tokenizer)
        NetworkModel.__init__(self, model_id, engine, sha256, threads, backend)
        self.prior = prior
