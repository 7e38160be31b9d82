"""lmzip: lossless compression by language models, bit-exact on every machine.

The interface follows `compression.zstd` of the standard library.
"""

from lmzip import equal_info
from lmzip.compressor import CONTINUE, FLUSH_BLOCK, FLUSH_FRAME, LMZCompressor
from lmzip.decompressor import LMZDecompressor
from lmzip.errors import CorruptError, LimitError, LMZError, ModelError, TruncatedError, UnsupportedError
from lmzip.file import LMZFile, open  # noqa: A004 - the standard library's name for it
from lmzip.many import compress_many
from lmzip.models.registry import load_model
from lmzip.stream import FrameInfo, compress, decompress, get_frame_info, get_frame_size

__version__ = "0.1.0"

__all__ = [
    "CONTINUE",
    "FLUSH_BLOCK",
    "FLUSH_FRAME",
    "CorruptError",
    "FrameInfo",
    "LMZCompressor",
    "LMZDecompressor",
    "LMZError",
    "LMZFile",
    "LimitError",
    "ModelError",
    "TruncatedError",
    "UnsupportedError",
    "compress",
    "compress_many",
    "decompress",
    "equal_info",
    "get_frame_info",
    "get_frame_size",
    "load_model",
    "open",
]
