"""What people and scripts are told: exit codes, messages, sizes, tables and the progress bar."""

from __future__ import annotations

import enum
import sys
import threading
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Self

import click

from lmzip.cli.paths import STANDARD, MisuseError, SkippedError
from lmzip.errors import LMZError, ModelError


class Exit(enum.IntEnum):
    """Exit codes, the mildest first; 128 + n after signal n."""

    FINE = 0
    SKIPPED = 3
    MISUSE = 2
    MODEL = 4
    FAILED = 1


def say(message: str) -> None:
    """Print a line on stderr."""
    click.echo(printable(message), err=True)


def report_failure(error: Exception, name: str, quiet: bool) -> tuple[Exit, str]:
    """Tell on stderr why a file was not served; return the exit code and the message.

    quiet: say nothing of skipped files. What is no trouble of the file's is raised again.
    """
    code, message = Exit.FAILED, str(error)
    if isinstance(error, ModelError):
        code = Exit.MODEL
    elif isinstance(error, SkippedError):
        code = Exit.SKIPPED
    elif isinstance(error, MisuseError):
        code = Exit.MISUSE
    elif isinstance(error, MemoryError):
        message = str(error) or "not enough memory"
    elif isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
        other = f"{error.filename}: " if error.filename not in (None, name) else ""
        message = other + (error.strerror or str(error))
    elif not isinstance(error, LMZError):
        raise error
    if not (quiet and code == Exit.SKIPPED):
        say(f"lmzip: {'standard input' if name == STANDARD else name}: {message}")
    return code, message


def worst(codes: Iterable[int]) -> int:
    """Return the gravest of some exit codes."""
    return max((Exit(code) for code in codes), key=list(Exit).index)


def printable(text: str) -> str:
    """Replace what could move the cursor or break the line: names and ids come from outside."""
    return "".join(c if c.isprintable() else "?" for c in text)


def size_text(size: float) -> str:
    """Return a size with three digits: 812 B, 25.5 KiB, 104 KiB."""
    unit = "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 999.5 or unit == "TiB":
            break
        size /= 1024
    digits = 0 if unit == "B" or size >= 99.95 else 1 if size >= 9.995 else 2
    return f"{size:.{digits}f} {unit}"


def ratio_text(compressed: int, content: int) -> str:
    """Return the compressed size in percent of the content."""
    return f"{100 * compressed / content:.1f} %" if content else "-"


def compressed_text(content: int, compressed: int) -> str:
    """Return what a compression came to: 24.5 % (104 KiB -> 25.5 KiB, 1.96 bits/byte)."""
    sizes = f"{size_text(content)} -> {size_text(compressed)}"
    if not content:
        return sizes
    return f"{ratio_text(compressed, content)} ({sizes}, {8 * compressed / content:.2f} bits/byte)"


def table(rows: Sequence[Sequence[object]], indent: str = "") -> str:
    """Lay out rows in columns; all but the last are flush right."""
    cells = [[printable(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join([*(c.rjust(w) for c, w in zip(row[:-1], widths, strict=False)), row[-1]]) for row in cells]
    return "\n".join(indent + line for line in lines)


def shortened(name: str, most: int = 30) -> str:
    """Leave out the middle of a name of more than `most` characters."""
    return name if len(name) <= most else f"{name[: most // 2 - 3]}...{name[-(most // 2) :]}"


class Progress:
    """A progress bar on stderr over the content of a file, or nothing. Only on a terminal.

    It is drawn four times a second, also where nothing moves but the time, and says what it waits for.
    """

    looks: ClassVar[dict[str, Any]] = {"unit": "B", "unit_scale": True, "unit_divisor": 1024}

    def __init__(self, name: str, total: int | None, shown: bool, place: str = "") -> None:
        """total: bytes of content, None where it is unknown. place: said before the name."""
        self._before = self._last = 0  # content of the frames that are done, and what is done of this one
        self._waiting = self._ratio = ""
        self._bar: Any = None
        self._ended = threading.Event()
        if shown and sys.stderr.isatty():
            from tqdm import tqdm  # takes a twentieth of a second

            self._bar = tqdm(
                desc=place + shortened(printable(name)), total=total, leave=False, dynamic_ncols=True, file=sys.stderr,
                **self.looks,
            )  # fmt: skip
            threading.Thread(target=self._redraw, args=(self._bar,), daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        if self._bar is not None:
            self._bar.close()

    def _redraw(self, bar: Any) -> None:
        while not self._ended.wait(0.25):
            bar.refresh()

    def begin_frame(self, size: int | None) -> None:
        """Make room for a frame with `size` bytes of content; `tick` counts from its beginning."""
        if self._bar is not None:
            self._before += self._last
            self._last = 0
            self._bar.total = None if size is None else self._before + size

    def tick(self, done: int) -> None:
        """Take note that so many bytes of the frame are done."""
        if self._bar is not None:
            if done:
                self._waiting = ""
            self._last = done
            self._show_text()
            self._bar.update(self._before + done - self._bar.n)

    def ratio(self, compressed: int, content: int) -> None:
        """Show the ratio so far."""
        if self._bar is not None and content:
            self._ratio = ratio_text(compressed, content)
            self._show_text()

    def wait(self, what: str) -> None:
        """Show what the next bytes wait for, until they are done."""
        if self._bar is not None:
            self._waiting = what
            self._show_text()

    def say(self, message: str) -> None:
        """Print a line, above the bar if there is one, and show its beginning as what is waited for."""
        if self._bar is None:
            say(f"lmzip: {message}")
        else:
            self._bar.write(f"lmzip: {printable(message)}", file=sys.stderr)
            self.wait(message.partition(";")[0])

    def _show_text(self) -> None:
        self._bar.set_postfix_str(", ".join(filter(None, (self._ratio, self._waiting))), refresh=False)


class Steps(Progress):
    """A line on stderr about work of several steps: what is being done, and how long all of it will still take."""

    looks: ClassVar[dict[str, Any]] = {
        "bar_format": "{desc}: {percentage:3.0f} % |{bar:20}| {elapsed}, {remaining} left{postfix}", "smoothing": 0,
    }  # fmt: skip

    def __init__(self, name: str, shown: bool = True) -> None:
        super().__init__(name, 1, shown)

    def step(self, share: float, what: str) -> None:
        """Take note that a share of the work is done, and of what is being done."""
        self.wait(what)
        if self._bar is not None:
            self._bar.update(max(0.0, share - self._bar.n))
