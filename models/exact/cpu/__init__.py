"""The engine for the CPU: numba kernels."""
