"""Deflate streams (RFC 1951) made again bit for bit from their data and a short description.

Many streams stand for the same data, since an encoder chooses matches, blocks and codes. This package finds a way to
make the same choices again, and records what is left over.

- `stream.py`: `deconstruct_stream` gives the data of a stream and its description, `reconstruct_stream` the stream.
- `inflate.py` reads a stream into tokens; `blocks.py` writes tokens as the blocks of a stream. `symbols.py` and
  `codes.py` have what RFC 1951 says of both.
- `settings.py` and `matching.py` find tokens as zlib finds them; `optimal.py` chooses the cheapest ones, as zopfli and
  libdeflate do.
"""
