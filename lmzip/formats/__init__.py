"""Files of pictures and sound: samples and side data, from which the file comes back byte for byte.

A format **deconstructs** a file, or a piece of it, into an array of samples and its **side data**: all that rebuilding
needs besides. `lmzip.blocks.media` codes both as one block, and **reconstructs** the bytes when it decodes.

- `detect.py` says which format a file has; `reconstruct.py` is the way back for all of them.
- `side_data.py` has the results (`Deconstructed`, `Shape`) and writes and reads side data; `layout.py` says what
  every format offers.
- `netpbm.py`, `bmp.py`, `tiff.py`, `wav.py` and `aiff.py` find samples that stand in a file as they are; `raw.py` cuts
  them out.
- `png/` and `flac/` are formats that compress, and `deflate/` the method of PNG.

This package knows formats, numpy and zlib's checksums; it knows no model and no coder. Kernels are compiled when the
first PNG or FLAC file comes.
"""

from __future__ import annotations

from lmzip.formats.detect import detect
from lmzip.formats.layout import Layout
from lmzip.formats.reconstruct import reconstruct, shape_of
from lmzip.formats.side_data import HEAD_SIZE, MAX_SAMPLES, Deconstructed, Shape

__all__ = ["HEAD_SIZE", "MAX_SAMPLES", "Deconstructed", "Layout", "Shape", "detect", "reconstruct", "shape_of"]
