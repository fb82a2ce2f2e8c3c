"""Files and folders that appear whole or not at all."""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import tempfile

CARD = "robustness_card.json"  # The card of an exported folder lies in it.


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


def card_of(path):
    """Where the card of an exported file or folder is."""
    path = pathlib.Path(path)
    return path / CARD if path.is_dir() else path.with_name(f"{path.name}.json")


def sha256(path):
    """The hash of a file's contents."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_hash(path):
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
