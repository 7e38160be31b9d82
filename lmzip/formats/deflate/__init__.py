"""Deflate streams made again bit for bit: what chose their blocks and matches is found and recorded."""
