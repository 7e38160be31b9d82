"""Sizes and speeds of lmzip and of other compressors, for `lmzip report` and the benchmarks."""
