"""The engine for any device of torch: plain tensor operations."""
