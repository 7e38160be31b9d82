"""Where compiled kernels are kept between processes: a folder of the user's own for each state of the sources.

What lies there is run, so it is read only from a folder in which nobody else can have put it. Where there can be
no such folder, or it is full, nothing is kept and everything still works.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import stat
import threading
import time
from pathlib import Path

KEPT = 8  # folders of other states, so that several installations do not compile in turn
UNUSED = 24 * 3600  # seconds after which others are removed
_NAME = re.compile(r"[0-9a-f]{16}")  # of a state
_WRITABLE = stat.S_IWGRP | stat.S_IWOTH


class KernelStore:
    """The kernels of one state of the sources, versions and processor.

    Attributes:
        trouble: why nothing can be kept, as a sentence; None where there is no trouble.
    """

    def __init__(self, root: Path, state: str) -> None:
        """root: the folder of all states, which need not be there. state: 16 hexadecimal digits."""
        self.trouble: str | None = None
        self._path, self._readable = root / state, False
        self._open()

    def holds(self, folder: str) -> bool:
        """Return whether kernels of a folder of the sources were kept here."""
        try:
            return self._readable and any((self._path / folder).iterdir())
        except OSError:
            return False

    def read(self, folder: str, name: str) -> bytes | None:
        """Return what was kept under a name; None for nothing, or for a file that is damaged."""
        if not self._readable:
            return None
        try:
            data = (self._path / folder / name).read_bytes()
        except OSError:
            return None
        return data[32:] if hashlib.sha256(data[32:]).digest() == data[:32] else None

    def write(self, folder: str, name: str, data: bytes) -> None:
        """Keep data under a name; after trouble nothing is tried again."""
        if self.trouble:
            return
        path = self._path / folder / name
        unfinished = path.with_name(f"{name}.{os.getpid()}.{threading.get_ident()}")
        try:
            for parent in (self._path, path.parent):  # both may have been removed
                parent.mkdir(mode=0o700, exist_ok=True)
            unfinished.write_bytes(hashlib.sha256(data).digest() + data)
            os.replace(unfinished, path)
        except OSError as error:
            self._give_up(error.strerror or str(error))
            with contextlib.suppress(OSError):
                unfinished.unlink()

    def _open(self) -> None:
        if not self._path.is_absolute():  # ~ where nobody knows of a home
            self._give_up("there is no home")
            return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.mkdir(mode=0o700)
            self._prune()
        except FileExistsError:
            pass
        except OSError as error:
            self._give_up(error.strerror or str(error))
        try:
            status = os.lstat(self._path)
        except OSError:
            return  # _give_up was told
        if not stat.S_ISDIR(status.st_mode):
            self._give_up("it is not a folder")
        elif hasattr(os, "geteuid") and (status.st_uid not in (0, os.geteuid()) or status.st_mode & _WRITABLE):
            self._give_up("it belongs to somebody else, or others may write there")
        else:
            self._readable = True
            if not os.access(self._path, os.W_OK):
                self._give_up("it is not writable")
            with contextlib.suppress(OSError):
                os.utime(self._path)  # used now

    def _give_up(self, reason: str) -> None:
        self.trouble = (
            f"compiled code cannot be kept in {self._path} ({reason}), so it will be compiled again next time; "
            "NUMBA_CACHE_DIR names another folder"
        )

    def _prune(self) -> None:
        """Remove folders of old states; a process that still uses one compiles what it had not yet read."""
        others = [path for path in self._path.parent.iterdir() if _NAME.fullmatch(path.name) and path != self._path]
        used = sorted(((os.lstat(path).st_mtime, path) for path in others), reverse=True)
        for last, path in used[KEPT:]:
            if last < time.time() - UNUSED:
                shutil.rmtree(path, ignore_errors=True)
