"""Equal-Info windows: text as tokens of equal information, for other models to be trained on (FORMAT.md section 8)."""

from lmzip.equal_info.windows import (
    TOKEN_BITS,
    WINDOW_BITS,
    Tokens,
    WindowCoder,
    decode,
    decode_window,
    encode,
    windows_of,
)

__all__ = ["TOKEN_BITS", "WINDOW_BITS", "Tokens", "WindowCoder", "decode", "decode_window", "encode", "windows_of"]
