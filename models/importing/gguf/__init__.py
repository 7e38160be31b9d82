"""Models in GGUF, the format of llama.cpp: the files, and what they say in the words of Hugging Face's formats."""
