"""Files and folders that appear whole or not at all."""

import contextlib
import hashlib
import json
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tfrobust.staging import exchange, flush, flush_folder, locked, staging
from tfrobust.types import Path

CARD = "robustness_card.json"  # The card of an exported folder lies in it.


@contextlib.contextmanager
def new_folder(path: Path, overwrite: bool = False) -> Iterator[pathlib.Path]:
    """Yields a folder to fill, which becomes `path` once it is complete.

    If filling it fails (a full disk, an interrupt, a kill), whatever stood at
    `path` is untouched, and nothing of the new folder remains; after a kill
    the next call for `path` sees to that.

    Args:
        path: Where the folder will stand.
        overwrite: Whether a folder that stands there may be replaced. It is
            replaced only if it holds nothing but what is written anew.

    Raises:
        FileExistsError: If `path` exists and `overwrite` is false, or what is
            there isn't a folder or holds other files.
        NotADirectoryError: If a parent of `path` is a file.
    """
    path = pathlib.Path(os.path.realpath(path))
    with staging(path) as new:
        if os.path.lexists(path) and not overwrite:
            raise FileExistsError(
                f"{path} exists and is kept as it is. Choose another path, or "
                "pass overwrite=True to replace it."
            )
        yield new
        flush(new)
        with locked(path.parent):
            _check_winner(path, overwrite)
            if os.path.lexists(path):
                _check_foreign(path, new)
                exchange(new, path)
            else:
                os.replace(new, path)
            flush_folder(path.parent)


@contextlib.contextmanager
def new_file(path: Path, overwrite: bool = True) -> Iterator[pathlib.Path]:
    """Yields where to write a file, which becomes `path` once complete.

    Files that are written beside it come to stand beside `path`, just before.

    Args:
        path: Where the file will stand.
        overwrite: Whether a file that stands there by then is replaced.

    Raises:
        FileExistsError: If `path` exists by then and `overwrite` is false.
        NotADirectoryError: If a parent of `path` is a file.
    """
    path = pathlib.Path(os.path.realpath(path))
    with staging(path) as new:
        written = new / path.name
        yield written
        flush(new)
        with locked(path.parent):
            _check_winner(path, overwrite)
            for part in sorted(new.iterdir(), key=lambda p: p == written):
                os.replace(part, path.parent / part.name)
            flush_folder(path.parent)


def save_whole(
    save: Callable, path: Path, overwrite: bool, **kwargs: Any
) -> Any:
    """Calls a `save` of Keras, so that a local file of it appears whole.

    Keras keeps its own ways with other addresses, with folders, and if it must
    ask before it overwrites.
    """
    single = str(path).endswith((".keras", ".h5"))
    if "://" in str(path) or not (single and overwrite):
        return save(path, overwrite, **kwargs)
    with new_file(path) as whole:
        return save(str(whole), **kwargs)


def save_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Writes a new .npz file of arrays by name, whole or not at all.

    Raises:
        FileExistsError: If there is a file.
        ValueError: If the name doesn't end in .npz.
    """
    with new_file(new_arrays(path), overwrite=False) as new:
        np.savez_compressed(new, **arrays)


def new_arrays(path: Path) -> pathlib.Path:
    """The path of a new .npz file; raises as `save_arrays` does."""
    path = pathlib.Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"`path` must end in .npz. Received: {path}")
    if path.exists():
        raise FileExistsError(
            f"{path} exists and is kept as it is. Choose another path."
        )
    return path


def card_of(path: Path) -> pathlib.Path:
    """Where the card of an exported file or folder is."""
    path = pathlib.Path(path)
    return path / CARD if path.is_dir() else path.with_name(f"{path.name}.json")


def sha256(path: pathlib.Path) -> str:
    """The hash of a file's contents."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_hash(path: Path) -> None:
    """Refuses an exported file or folder that isn't as it was written.

    Its card lists the SHA-256 of each file. What has no card, or one of
    somebody else's, passes: nothing is known of it.

    Args:
        path: A LiteRT file, or the folder of a SavedModel.

    Raises:
        ValueError: If a file or the card is damaged, or a file is missing.
    """
    path, card = pathlib.Path(path), card_of(path)
    if not card.is_file():
        return
    try:
        listed = json.loads(card.read_text()).get("sha256", {})
        folder = path if path.is_dir() else path.parent
        if listed and path.is_file():  # It may have another name by now.
            listed = {path.name: [*listed.values()][0]}
        found = {name: sha256(folder / name) for name in listed}
    except (AttributeError, OSError, TypeError, ValueError) as error:
        raise ValueError(
            f"What was exported to {path} can't be compared with its card, "
            f"{card} ({type(error).__name__}: {error}). Export it again."
        ) from error
    damaged = [name for name in listed if found[name] != listed[name]]
    if damaged:
        raise ValueError(
            f"What was exported to {path} must have the hashes that its card, "
            f"{card}, lists. Received others for: {', '.join(damaged)}. Export "
            "it again, or remove the card if the files are not its own."
        )


def _check_winner(path, overwrite):
    if os.path.lexists(path) and not overwrite:
        raise FileExistsError(
            f"{path} was written by somebody else while this was at work. It "
            "is kept as it is, and nothing of this. Choose another path."
        )


def _check_foreign(path, new):
    """Refuses to replace a folder that holds what the new one doesn't."""
    if not path.is_dir():
        raise FileExistsError(
            f"{path} is a file, and is kept as it is. Choose another path."
        )
    ours = {part.relative_to(new) for part in new.rglob("*")}
    held = {part.relative_to(path) for part in path.rglob("*")}
    foreign = sorted(str(part) for part in held - ours)
    if foreign:
        raise FileExistsError(
            f"{path} holds what would be lost, so it is kept as it is. Only a "
            "folder that was written by the same call may be replaced. Found "
            f"besides: {', '.join(foreign[:3])}. Choose another path."
        )
