"""Files and folders that appear whole or not at all."""

import contextlib
import os
import pathlib
import shutil
import tempfile


@contextlib.contextmanager
def new_folder(path, overwrite=False):
    """Yields a folder to fill, which becomes `path` once it is complete.

    If filling it fails (a full disk, an interrupt), nothing of it remains and
    whatever stood at `path` is untouched.

    Args:
        path: Where the folder will stand.
        overwrite: Whether a folder that stands there may be replaced.

    Raises:
        FileExistsError: If `path` exists and `overwrite` is false.
    """
    path = pathlib.Path(path)
    _refuse(path, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        filled = pathlib.Path(staging, "new")
        filled.mkdir()
        yield filled
        _refuse(path, overwrite)
        if path.exists():
            os.replace(path, pathlib.Path(staging, "old"))
        os.replace(filled, path)
    finally:
        _restore(path, pathlib.Path(staging, "old"))
        shutil.rmtree(staging, ignore_errors=True)


@contextlib.contextmanager
def new_file(path):
    """Yields where to write a file, which replaces `path` once complete."""
    path = pathlib.Path(path)
    with tempfile.TemporaryDirectory(prefix=".", dir=path.parent) as room:
        written = pathlib.Path(room, path.name)
        yield written
        os.replace(written, path)


def save_whole(save, path, overwrite, **kwargs):
    """Calls a `save` of Keras, so that a local file of it appears whole.

    Keras keeps its own ways with other addresses, with folders, and if it must
    ask before it overwrites.
    """
    single = str(path).endswith((".keras", ".h5"))
    if "://" in str(path) or not (single and overwrite):
        return save(path, overwrite, **kwargs)
    with new_file(path) as whole:
        return save(str(whole), **kwargs)


def _refuse(path, overwrite):
    if path.exists() and not overwrite:
        raise FileExistsError(
            f"{path} exists and is kept as it is. Choose another path, or pass "
            "overwrite=True to replace it."
        )


def _restore(path, old):
    """Puts the old folder back if the new one did not take its place."""
    if old.exists() and not path.exists():
        os.replace(old, path)
