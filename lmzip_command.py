"""Where the command `lmzip` begins, outside the package: importing that takes a fifth of a second.

Until lmzip.cli handles signals there is nothing to clean up, so that Ctrl-C just ends the process instead of
printing where it came.
"""

from __future__ import annotations

import signal
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and exit."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from lmzip.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
