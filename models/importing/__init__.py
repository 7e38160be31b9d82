"""Language models of Hugging Face's formats made exact: only the command `lmzip models import` needs this package."""
