import errno
import hashlib
import json
import os
import pathlib
import stat

import pytest

from tfrobust import files, staging

pytestmark = pytest.mark.keras_free


def fill(folder, text="new"):
    (folder / "deep").mkdir()
    (folder / "deep" / "text.txt").write_text(text)


def contents(root):
    """Every file below `root` with its text, hidden ones too."""
    return {
        path.relative_to(root).as_posix(): path.read_text()
        for path in root.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def old(tmp_path):
    """A folder that stands already."""
    with files.new_folder(tmp_path / "folder") as new:
        fill(new, "old")
    return tmp_path / "folder"


def test_a_folder_appears_once_it_is_complete_with_its_parents(tmp_path):
    path = tmp_path / "a" / "b" / "folder"
    with files.new_folder(path) as new:
        fill(new)
        assert not path.exists()
    assert contents(tmp_path) == {"a/b/folder/deep/text.txt": "new"}


@pytest.mark.parametrize(
    "failure", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit]
)
def test_a_failure_while_filling_leaves_nothing(tmp_path, failure):
    with pytest.raises(failure), files.new_folder(tmp_path / "folder") as new:
        fill(new)
        raise failure
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_no_parents_either_unless_others_use_them(tmp_path):
    for kind in (files.new_folder, files.new_file):
        with pytest.raises(ValueError), kind(tmp_path / "a" / "b" / "it"):
            raise ValueError
        assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError), files.new_file(tmp_path / "a" / "b" / "it"):
        (tmp_path / "a" / "theirs").write_text("theirs")
        raise ValueError
    assert contents(tmp_path) == {"a/theirs": "theirs"}


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failure_while_overwriting_keeps_the_old_folder(
    tmp_path, old, failure
):
    with pytest.raises(failure), files.new_folder(old, overwrite=True) as new:
        fill(new)
        raise failure
    assert contents(tmp_path) == {"folder/deep/text.txt": "old"}


def test_a_full_disk_loses_nothing(tmp_path, old, monkeypatch):
    def write_text(path, text):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(pathlib.Path, "write_text", write_text)
    with pytest.raises(OSError, match="No space left"):
        with files.new_folder(old, overwrite=True) as new:
            fill(new)
    assert contents(tmp_path) == {"folder/deep/text.txt": "old"}
    assert os.listdir(tmp_path) == ["folder"]


def test_the_old_folder_comes_back_if_the_new_one_cannot_take_its_place(
    tmp_path, old, monkeypatch
):
    move, moves = os.replace, []

    def second_fails(source, target):
        moves.append(target)
        if len(moves) == 2:
            raise OSError(errno.EIO, "Input/output error")
        move(source, target)

    monkeypatch.setattr(staging, "swapped", lambda *folders: False)
    monkeypatch.setattr(os, "replace", second_fails)
    with pytest.raises(OSError, match="Input/output"):
        with files.new_folder(old, overwrite=True) as new:
            fill(new)
    assert contents(tmp_path) == {"folder/deep/text.txt": "old"}
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.parametrize("at_once", [True, False])
def test_overwriting_replaces_the_folder_and_leaves_no_trace(
    tmp_path, old, monkeypatch, at_once
):
    if not at_once:
        monkeypatch.setattr(staging, "swapped", lambda *folders: False)
    with files.new_folder(old, overwrite=True) as new:
        fill(new)
        assert contents(old)["deep/text.txt"] == "old"
    assert contents(tmp_path) == {"folder/deep/text.txt": "new"}


@pytest.mark.parametrize("name", ["notes.txt", "deep/.git", ".hidden"])
def test_what_is_not_written_anew_is_never_deleted(tmp_path, old, name):
    (old / name).write_text("theirs")
    with pytest.raises(FileExistsError, match=f"would be lost.*{name}"):
        with files.new_folder(old, overwrite=True) as new:
            fill(new)
    assert contents(tmp_path) == {
        "folder/deep/text.txt": "old",
        f"folder/{name}": "theirs",
    }


def test_a_file_where_a_folder_is_to_stand_is_kept(tmp_path):
    (tmp_path / "file").write_text("theirs")
    with pytest.raises(FileExistsError, match="is a file, and is kept"):
        with files.new_folder(tmp_path / "file", overwrite=True) as new:
            fill(new)
    for inside in (files.new_folder, files.new_file):
        with pytest.raises(NotADirectoryError, match="file is a file and no"):
            with inside(tmp_path / "file" / "deep" / "1"):
                pytest.fail("It was offered.")
    assert contents(tmp_path) == {"file": "theirs"}


def test_a_link_to_a_folder_or_file_stays_a_link(tmp_path, old):
    (tmp_path / "link").symlink_to(old)
    with files.new_folder(tmp_path / "link", overwrite=True) as new:
        fill(new)
    assert (tmp_path / "link").is_symlink()
    assert contents(old) == {"deep/text.txt": "new"}
    (tmp_path / "short.txt").symlink_to(old / "deep" / "text.txt")
    with files.new_file(tmp_path / "short.txt") as new:
        new.write_text("newer")
    assert contents(old) == {"deep/text.txt": "newer"}


def test_nothing_is_overwritten_unless_asked_for(tmp_path, old):
    with pytest.raises(FileExistsError, match="folder exists.*overwrite=True"):
        with files.new_folder(old):
            pytest.fail("The folder was offered.")
    assert contents(tmp_path) == {"folder/deep/text.txt": "old"}


def test_a_folder_that_appears_in_the_meantime_is_kept(tmp_path):
    path = tmp_path / "folder"
    with pytest.raises(FileExistsError, match="somebody else while this was"):
        with files.new_folder(path) as new:
            fill(new)
            path.mkdir()
            (path / "theirs.txt").write_text("theirs")
    assert contents(tmp_path) == {"folder/theirs.txt": "theirs"}


def test_others_may_read_the_folder_as_far_as_the_umask_allows(tmp_path):
    before = os.umask(0o022)
    try:
        with files.new_folder(tmp_path / "folder") as new:
            fill(new)
    finally:
        os.umask(before)
    path = tmp_path / "folder"
    assert stat.S_IMODE(path.stat().st_mode) == 0o755
    assert stat.S_IMODE((path / "deep").stat().st_mode) == 0o755


def test_what_is_unfinished_is_hidden_and_no_version_of_a_served_model(
    tmp_path,
):
    with files.new_folder(tmp_path / "1") as new:
        (name,) = os.listdir(tmp_path)
        assert name.startswith(".")
        fill(new)


def test_a_file_is_replaced_once_it_is_complete(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with files.new_file(path) as new:
        new.write_text("new")
        assert path.read_text() == "old"
    assert contents(tmp_path) == {"file.txt": "new"}


def test_a_file_that_appears_in_the_meantime_may_be_kept_with_its_card(
    tmp_path,
):
    path = tmp_path / "file.txt"
    with pytest.raises(FileExistsError, match="somebody else while this was"):
        with files.new_file(path, overwrite=False) as new:
            new.write_text("mine")
            files.card_of(new).write_text("my card")
            path.write_text("theirs")
            files.card_of(path).write_text("their card")
    assert contents(tmp_path) == {
        "file.txt": "theirs",
        "file.txt.json": "their card",
    }


def test_what_is_written_beside_a_file_is_there_before_it(
    tmp_path, monkeypatch
):
    move, moves = os.replace, []

    def recorded(source, target):
        moves.append(target.name)
        move(source, target)

    monkeypatch.setattr(os, "replace", recorded)
    with files.new_file(tmp_path / "b.txt") as new:
        for name in ("a.txt", "b.txt", "c.txt"):
            new.with_name(name).write_text(name)
    assert sorted(moves[:2]) == ["a.txt", "c.txt"] and moves[2:] == ["b.txt"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_all_of_it_is_on_the_disk_before_it_has_its_name(
    tmp_path, monkeypatch, kind
):
    flushed, expected = [], {}
    sync, move = os.fsync, os.replace

    def synced(descriptor):
        flushed.append(os.fstat(descriptor).st_ino)
        sync(descriptor)

    def moved(source, target):
        expected.update(
            (part, part.stat().st_ino) for part in [source, *source.rglob("*")]
        )
        assert set(expected.values()) <= set(flushed)
        flushed.clear()
        move(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", moved)
    if kind == "file":
        with files.new_file(tmp_path / kind) as new:
            new.write_text("new")
    else:
        with files.new_folder(tmp_path / kind) as new:
            fill(new)
    assert len(expected) == {"file": 1, "folder": 3}[kind]
    assert tmp_path.stat().st_ino in flushed


def test_a_failure_while_writing_keeps_the_old_file(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(OSError), files.new_file(path) as new:
        new.write_text("ne")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert contents(tmp_path) == {"file.txt": "old"}


def with_card(path, names):
    """Writes files and the card that lists them."""
    for name in names:
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / name).write_text(name)
    hashes = {n: hashlib.sha256(n.encode()).hexdigest() for n in names}
    card = path if path.name == files.CARD else f"{path}.json"
    pathlib.Path(card).write_text(json.dumps({"sha256": hashes}))


def test_the_card_of_a_file_stands_beside_it_and_of_a_folder_in_it(tmp_path):
    path = tmp_path / "model.tflite"
    assert files.card_of(path) == tmp_path / "model.tflite.json"
    assert files.card_of(str(tmp_path)) == tmp_path / "robustness_card.json"


def test_what_is_as_it_was_written_or_has_no_card_passes(tmp_path):
    path = tmp_path / "model.tflite"
    with_card(path, ["model.tflite"])
    with_card(tmp_path / "1" / files.CARD, ["one.pb", "two.pb"])
    for name in ("model.tflite", "model.tflite.json"):
        renamed = name.replace("model", "phone")
        (tmp_path / renamed).write_bytes((tmp_path / name).read_bytes())
    (tmp_path / "foreign.tflite").write_text("of unknown origin")
    for name in ("model.tflite", "1", "phone.tflite", "foreign.tflite"):
        files.check_hash(tmp_path / name)
    (tmp_path / "foreign.tflite.json").write_text('{"labels": []}')
    files.check_hash(tmp_path / "foreign.tflite")


@pytest.mark.parametrize("name", ["one.pb", "two.pb", files.CARD])
def test_a_flipped_bit_in_any_exported_file_or_its_card_is_refused(
    tmp_path, name
):
    with_card(tmp_path / files.CARD, ["one.pb", "two.pb"])
    content = (tmp_path / name).read_bytes()
    for place in {0, len(content) // 2, len(content) - 1}:
        changed = bytearray(content)
        changed[place] ^= 1
        (tmp_path / name).write_bytes(changed)
        with pytest.raises(ValueError, match="Export it again"):
            files.check_hash(tmp_path)


def test_a_file_unlike_its_card_is_refused_and_so_is_a_missing_one(tmp_path):
    path = tmp_path / "model.tflite"
    with_card(path, ["model.tflite"])
    path.write_text("another model")
    with pytest.raises(ValueError, match="Received others for: model.tflite"):
        files.check_hash(path)
    with_card(tmp_path / files.CARD, ["one.pb", "two.pb"])
    (tmp_path / "two.pb").unlink()
    with pytest.raises(ValueError, match="can't be compared.*FileNotFound"):
        files.check_hash(tmp_path)
