"""The registry of formats: which one a file has.

The compressor asks `detect` once for each content, before it cuts the first block.
"""

from __future__ import annotations

from collections.abc import Callable

from lmzip.formats.aiff import detect_aiff
from lmzip.formats.bmp import detect_bmp
from lmzip.formats.flac.file import detect_flac
from lmzip.formats.layout import Layout
from lmzip.formats.netpbm import detect_netpbm
from lmzip.formats.png.file import detect_png
from lmzip.formats.tiff import detect_tiff
from lmzip.formats.wav import detect_wav

# Each takes the head of a file and returns the layout of its format, or None; none raises. Their magic numbers differ.
DETECTORS: tuple[Callable[[bytes], Layout | None], ...] = (
    detect_png,
    detect_netpbm,
    detect_bmp,
    detect_tiff,
    detect_wav,
    detect_aiff,
    detect_flac,
)


def detect(head: bytes) -> Layout | None:
    """Return the layout of a file from its first HEAD_SIZE bytes (all, where it is shorter); None for plain bytes.

    It never raises. What a head promises may turn out wrong: then the layout's `deconstruct` returns None.
    """
    for detector in DETECTORS:
        if layout := detector(head):
            return layout
    return None
