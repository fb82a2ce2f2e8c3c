"""Where files and folders are made before they take their place at once.

A staging folder is hidden, stands beside what it is for, and is locked by the
process that uses it, so that the next one recognises what a kill left behind.
"""

import contextlib
import ctypes
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

try:
    import fcntl
except ImportError:  # Windows, where nothing is locked or cleaned up.
    fcntl = None  # type: ignore[assignment]

SUFFIX = ".tfrobust"


@contextlib.contextmanager
def staging(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields an empty folder on the disk of `path`, and removes it in the end.

    First it removes those for `path` that killed processes left, and makes the
    parents of `path`; if its block fails, they go too.

    Raises:
        NotADirectoryError: If a parent of `path` is a file.
    """
    parent, prefix = path.parent, f".{path.name}-"
    made = [place for place in path.parents if not place.exists()]
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        file = next(place for place in path.parents if place.exists())
        raise NotADirectoryError(
            f"{path} can't be written, since {file} is a file and no folder. "
            "Choose another path."
        ) from error
    with contextlib.ExitStack() as held:
        with locked(parent):
            for name in os.listdir(parent):
                random = name.removeprefix(prefix).removesuffix(SUFFIX)
                if name == f"{prefix}{random}{SUFFIX}" and len(random) == 8:
                    _clean(parent / name, path)
            room = pathlib.Path(tempfile.mkdtemp(SUFFIX, prefix, parent))
            held.enter_context(locked(room))
        try:
            new = room / "new"
            new.mkdir()
            yield new
        except BaseException:
            _remove(room, path)
            with contextlib.suppress(OSError):  # Others may be at work there.
                for place in made:
                    place.rmdir()
            raise
        _remove(room, path)


@contextlib.contextmanager
def locked(folder: pathlib.Path, wait: bool = True) -> Iterator[None]:
    """Holds the lock of a folder, which ends with the process at the latest.

    Raises:
        OSError: If it isn't to wait and doesn't get the lock.
    """
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            flags = 0 if wait else fcntl.LOCK_NB
            fcntl.flock(descriptor, fcntl.LOCK_EX | flags)
        except OSError:
            # Some disks lock nothing; then what was left behind stays.
            if not wait:
                raise
        yield
    finally:
        os.close(descriptor)


def exchange(new: pathlib.Path, path: pathlib.Path) -> None:
    """Puts a folder of `staging` in the place of another: in one step, if the
    system and the disk can. Else a kill in between is mended by the next call.
    """
    if not swapped(new, path):
        os.replace(path, _old(new.parent))
        os.replace(new, path)


def swapped(one: pathlib.Path, other: pathlib.Path) -> bool:
    """Swaps two folders at once; whether the system and the disk can."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    here, swap = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    names = os.fsencode(one), os.fsencode(other)
    return rename(here, names[0], here, names[1], swap) == 0


def flush(path: pathlib.Path) -> None:
    """Has a file, or a folder with all that is in it, on the disk itself."""
    if path.is_dir():
        for part in path.iterdir():
            flush(part)
        flush_folder(path)
    else:
        with open(path, "rb+") as file:
            os.fsync(file.fileno())


def flush_folder(path: pathlib.Path) -> None:
    """Has the names in a folder on the disk, where that can be asked for."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _clean(room, path):
    """Removes what is left of a killed process, which locks it no longer."""
    if fcntl is not None:
        with contextlib.suppress(OSError), locked(room, wait=False):
            _remove(room, path)


def _remove(room, path):
    """Removes a staging folder, but an old folder without a successor."""
    if _old(room).exists() and not os.path.lexists(path):
        os.replace(_old(room), path)
    shutil.rmtree(room, ignore_errors=True)


def _old(room):
    return room / "old"
