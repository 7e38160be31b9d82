"""The context-mixing ensemble: a network and models that learn the block, mixed decision by decision."""
