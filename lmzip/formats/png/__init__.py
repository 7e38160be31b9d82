"""PNG files as pixels and side data."""
