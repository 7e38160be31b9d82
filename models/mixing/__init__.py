"""What the models of text, pictures and sound share: mixer, adaptive probability maps, hashes, least squares."""
