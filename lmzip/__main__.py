"""`python -m lmzip`: the command line."""

from lmzip.cli import main

if __name__ == "__main__":
    main()
