"""Networks in exact arithmetic: the same integers on every machine."""
