"""FLAC files (RFC 9639) as samples and side data.

- `file.py`: the file, its metadata and the side data.
- `frames.py` reads and writes frames, with `headers.py`, `subframes.py` and `residuals.py` for what they consist of.
- `choices.py`: what an encoder chose, as columns of numbers; `bits.py`: fields of bits and check values.
"""
