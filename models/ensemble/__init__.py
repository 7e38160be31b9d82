"""A language model's predictions mixed with models that learn the block while it is coded."""
