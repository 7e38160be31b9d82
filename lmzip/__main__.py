"""`python -m lmzip`: the command line."""

from lmzip.cli.main import main

if __name__ == "__main__":
    main()
