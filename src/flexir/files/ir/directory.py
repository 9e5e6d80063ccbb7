"""A directory that appears whole or not at all, whatever happens while it is written.

Everything is written into a folder beside it, which one rename (or one exchange, where there was
such a directory before) puts in its place. Safe against the process dying at any moment; the
files are not forced to the disk, so a power failure is another matter.
"""

from __future__ import annotations

import ctypes
import errno
import glob
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def appearing_whole(path: Path) -> Iterator[Path]:
    """A new folder beside ``path`` that takes its place when the block ends well."""
    path = path.absolute()
    _sweep(path)
    prefix = f".{path.name}.{os.getpid()}."
    folder = Path(tempfile.mkdtemp(prefix=prefix, suffix=".tmp", dir=path.parent))
    try:
        folder.chmod(0o777 & ~_umask())
        yield folder
        _replace(folder, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(path: Path) -> None:
    """Remove what saves to this path left that were killed."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        pid = left.name.split(".")[-3]
        try:
            os.kill(int(pid), 0)
        except (ProcessLookupError, ValueError):
            shutil.rmtree(left, ignore_errors=True)
        except OSError:  # another user's process, and alive
            continue


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _replace(new: Path, path: Path) -> None:
    """Put ``new`` where ``path`` is; what was there is at ``new`` afterwards, or gone."""
    if not path.exists():
        os.rename(new, path)
    elif not _exchange(new, path):
        # Between these two lines only `aside` exists; `load` looks for it.
        aside = aside_of(path)
        shutil.rmtree(aside, ignore_errors=True)
        os.rename(path, aside)
        os.rename(new, path)
        shutil.rmtree(aside, ignore_errors=True)


def aside_of(path: Path) -> Path:
    """Where the old directory stands for a moment where the system cannot exchange two."""
    return path.with_name(f".{path.name}.old")


def _exchange(a: Path, b: Path) -> bool:
    """Swap two directories at once; False where the system or file system cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(a), os.fsencode(b)
    if sys.platform == "linux" and hasattr(libc, "renameat2"):
        code = libc.renameat2(-100, names[0], -100, names[1], 2)  # AT_FDCWD, RENAME_EXCHANGE
    elif sys.platform == "darwin" and hasattr(libc, "renamex_np"):
        code = libc.renamex_np(*names, 2)  # RENAME_SWAP
    else:
        return False
    if code and ctypes.get_errno() not in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        raise OSError(ctypes.get_errno(), f"cannot replace {b}")
    return not code
