"""Networks at work on data: sessions, and what turns bytes, pixels and samples into symbols."""
