"""Who codes: constriction where it is installed, our own integers where it is not. Both give the same bytes.

constriction has no wheels for Linux on ARM, for musl and for Windows on ARM, and no source distribution.
"""

from __future__ import annotations

from typing import Any

BERNOULLI: Any
CATEGORICAL: Any
QueueDecoder: Any
QueueEncoder: Any
StackDecoder: Any
StackEncoder: Any

try:
    import constriction
except ImportError:
    from .integer_coders import BERNOULLI, CATEGORICAL, QueueDecoder, QueueEncoder, StackDecoder, StackEncoder

    IMPLEMENTATION = "lmzip"
else:
    # `perfect=False` is part of the format, and constriction prints a warning to stdout without it.
    CATEGORICAL = constriction.stream.model.Categorical(perfect=False)
    BERNOULLI = constriction.stream.model.Bernoulli(perfect=False)
    QueueDecoder = constriction.stream.queue.RangeDecoder
    QueueEncoder = constriction.stream.queue.RangeEncoder
    StackDecoder = StackEncoder = constriction.stream.stack.AnsCoder
    IMPLEMENTATION = "constriction"
