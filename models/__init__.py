"""Models: history in, integer probabilities out."""
