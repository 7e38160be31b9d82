"""The rules for files: what is read, what is written where, and outputs that appear whole or not at all."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import glob
import os
import secrets
import socket
import stat
import time
from pathlib import Path
from typing import IO, Self

SUFFIX = ".lmzip"
STANDARD = "-"  # the name that means standard input or output

# A temporary name: that of this computer, since no other can tell whether its process is alive.
_TEMPORARY = f".lmzip-{socket.gethostname()}-"
_GRACE = 60  # seconds: a file that was just made may not be locked yet

# What link() says where a file system has no hard links.
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class SkippedError(Exception):
    """A file was left alone on purpose."""


class MisuseError(Exception):
    """What was asked for cannot work as it was asked."""


@dataclasses.dataclass
class Source:
    """A file that is read.

    size: bytes to come, None where it cannot be known. status: None for standard input.
    done: bytes read so far.
    """

    name: str
    file: IO[bytes]
    size: int | None
    status: os.stat_result | None
    done: int = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def read(self, size: int) -> bytes:
        """Return the next bytes: fewer than size only at the end; an OSError names the file."""
        try:
            data = self.file.read(size)
        except OSError as error:
            raise OSError(error.errno, os.strerror(error.errno or 0), self.name) from error
        self.done += len(data)
        return data


class Sink:
    """Where output goes: a descriptor that is written to at once."""

    def __init__(self, descriptor: int, name: str) -> None:
        self.name, self.written = name, 0
        self._descriptor = descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._descriptor > 2:
            os.close(self._descriptor)

    @property
    def is_terminal(self) -> bool:
        """Whether a person reads along."""
        return self._descriptor >= 0 and os.isatty(self._descriptor)

    def write(self, data: bytes) -> None:
        """Write all of data; an OSError names the output."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            raise OSError(error.errno, os.strerror(error.errno or 0), self.name) from error
        self.written += len(data)

    def commit(self, like: os.stat_result | None = None) -> None:
        """State that the output is whole."""


class Nowhere(Sink):
    """A sink that counts and forgets."""

    def __init__(self) -> None:
        super().__init__(-1, "nowhere")

    def write(self, data: bytes) -> None:
        """Count the bytes."""
        self.written += len(data)


class NewFile(Sink):
    """A file that appears under its name when it is committed, and never without."""

    def __init__(self, target: Path, force: bool) -> None:
        """force: replace what stands there; through a symbolic link, what it points to."""
        super().__init__(-1, str(target))
        self._target, self._force = Path(os.path.realpath(target)) if force else target, force
        self._temporary = self._target.parent / f"{_TEMPORARY}{secrets.token_hex(6)}.tmp"

    def __enter__(self) -> Self:
        remove_leftovers(self._target.parent)
        try:
            # 0600 until it is whole: the source may be private.
            self._descriptor = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            _lock(self._descriptor)
        except OSError as error:
            raise OSError(error.errno, os.strerror(error.errno or 0), self.name) from error
        except BaseException:
            self._discard()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._discard()

    def commit(self, like: os.stat_result | None = None) -> None:
        """Give the file its name, for good once this returns. like: what its mode and mtime are copied from."""
        try:
            os.fchmod(self._descriptor, stat.S_IMODE(like.st_mode) & 0o777 if like else 0o666 & ~_umask())
            if like is not None:
                os.utime(self._descriptor, ns=(like.st_atime_ns, like.st_mtime_ns))
            os.fsync(self._descriptor)
            self._rename()
            sync_folder(self._target)
        except OSError as error:
            raise OSError(error.errno, os.strerror(error.errno or 0), self.name) from error

    def _rename(self) -> None:
        if self._force:
            os.replace(self._temporary, self._target)
            return
        try:
            os.link(self._temporary, self._target)  # unlike rename, never over a file that came meanwhile
        except FileExistsError as error:
            raise SkippedError(f"{self.name} exists; -f overwrites it") from error
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            refuse_existing(self._target)
            os.rename(self._temporary, self._target)

    def _discard(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._temporary.unlink(missing_ok=True)


def _lock(descriptor: int) -> bool:
    """Lock a file until it is closed, or its process ends: return whether nobody else has."""
    try:
        import fcntl  # which not every system has

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):  # it is locked, or its file system cannot
        return False
    return True


@functools.cache  # once in a process, however many files it writes there
def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of processes of this computer that were killed."""
    with contextlib.suppress(OSError):  # whoever cannot read the folder can perhaps write there
        for path in folder.glob(f"{glob.escape(_TEMPORARY)}*.tmp"):
            with contextlib.suppress(OSError):
                descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
                try:
                    if time.time() - os.fstat(descriptor).st_mtime > _GRACE and _lock(descriptor):
                        os.unlink(path)
                finally:
                    os.close(descriptor)


def open_source(name: str, *, any_kind: bool) -> Source:
    """Open a file to read; `-` is standard input.

    any_kind: read pipes and devices too, which have no name to put an output beside.
    Raises SkippedError for what is not read, OSError where it cannot be.
    """
    if name == STANDARD:
        file = open(0, "rb", closefd=False)  # noqa: SIM115 - Source closes it
        status = os.fstat(0)
        return Source(name, file, status.st_size - file.tell() if stat.S_ISREG(status.st_mode) else None, None)
    kind = os.stat(name).st_mode
    if stat.S_ISDIR(kind):
        raise SkippedError("is a folder; to pack one: tar -I lmzip -cf NAME.tar.lmzip FOLDER")
    if not stat.S_ISREG(kind) and (stat.S_ISSOCK(kind) or not any_kind):
        raise SkippedError("is not a regular file; a pipe or device is read with -c or -o")
    file = open(name, "rb")  # noqa: SIM115 - Source closes it
    status = os.fstat(file.fileno())
    return Source(name, file, status.st_size if stat.S_ISREG(status.st_mode) else None, status)


def open_sink(target: str, source: Source, force: bool) -> Sink:
    """Return the sink for an output name; enter it to create the file.

    A device or pipe is written to directly. Raises SkippedError where a file exists and force is
    not given, MisuseError where the target cannot be one.
    """
    try:
        status = os.stat(target)
    except FileNotFoundError:
        pass
    else:
        if stat.S_ISDIR(status.st_mode):
            raise MisuseError(f"{target} is a folder; name the output with -o FILE")
        if source.status is not None and os.path.samestat(status, source.status):
            raise MisuseError(f"{target} is the input itself")
        if not stat.S_ISREG(status.st_mode):
            return Sink(os.open(target, os.O_WRONLY), target)
    if not force:
        refuse_existing(Path(target))
    return NewFile(Path(target), force)


def refuse_existing(target: Path) -> None:
    """Raise SkippedError if there is anything of that name, a broken link included."""
    if os.path.lexists(target):
        raise SkippedError(f"{target} exists; -f overwrites it")


def compressed_name(name: str, suffix: str = SUFFIX, force: bool = False) -> str:
    """Return the name that compressing a file gives; SkippedError where it has the suffix, unless force."""
    if name.endswith(suffix) and not force:
        raise SkippedError(f"already has the suffix {suffix}; -f compresses it again")
    return name + suffix


def decompressed_name(name: str, suffix: str = SUFFIX) -> str:
    """Return the name that decompressing a file gives: without the suffix, or without .lmzip."""
    for ending in (suffix, SUFFIX):
        if name.endswith(ending) and Path(name).name != ending:
            return name.removesuffix(ending)
    raise MisuseError(f"does not end in {suffix}; name the output with -o FILE, or use -c")


def name_in_folder(folder: str, name: str) -> str:
    """Return the name that a file gets in a folder, which is made if need be."""
    os.makedirs(folder, exist_ok=True)
    return os.path.join(folder, os.path.basename(name))


def refuse_removal(name: str, force: bool) -> None:
    """Raise SkippedError for a symbolic link: to remove it would leave the file it points to."""
    if os.path.islink(name) and not force:
        raise SkippedError("is a symbolic link, which --rm would remove instead of the file; -f does so")


def remove_source(source: Source) -> None:
    """Remove the file that was read, unless it is not the same any more."""
    now = os.stat(source.name)
    if source.status is None or _identity(now) != _identity(source.status):
        raise SkippedError("changed while it was read, so --rm kept it")
    os.unlink(source.name)
    sync_folder(Path(source.name))


def sync_folder(path: Path) -> None:
    """Make what happened to a name in its folder survive a power failure."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot
            raise
    finally:
        os.close(descriptor)


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
