"""What can go wrong, as exceptions.

LMZError
├── CorruptError           the data is damaged or was never lmzip's
├── TruncatedError         the data ends too early (also an EOFError)
├── UnsupportedError       written by a newer version, or with a feature this one lacks
├── ModelError             the model that the data needs is missing or another
└── LimitError             the data asks for more than the caller allowed

Wrong arguments are ValueError or TypeError; trouble with files stays OSError.
"""

from __future__ import annotations


class LMZError(Exception):
    """Base of all errors about lmzip data."""


class CorruptError(LMZError):
    """The data is damaged, or not lmzip data at all."""


class TruncatedError(LMZError, EOFError):
    """The data ends before its end mark."""


class UnsupportedError(LMZError):
    """The data is from a newer version or uses what this installation lacks."""


class ModelError(LMZError):
    """The model that the data was written with is not the one at hand.

    Attributes:
        model_id: name of the model that is needed.
        expected: sha256 that is needed, hexadecimal, or None.
        found: sha256 of what is there, hexadecimal, or None where nothing is.
    """

    def __init__(
        self, message: str, model_id: str | None = None, expected: str | None = None, found: str | None = None
    ) -> None:
        super().__init__(message)
        self.model_id, self.expected, self.found = model_id, expected, found


class LimitError(LMZError):
    """The data asks for more output or memory than was allowed."""
