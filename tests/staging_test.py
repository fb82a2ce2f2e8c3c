"""What is left when a process is killed, and who cleans it up."""

import os
import signal
import threading

import pytest

from tests.files_test import contents, fill
from tfrobust import files, staging

pytestmark = pytest.mark.keras_free

# Kills itself at the given event of the many that Python tells of: opening,
# moving, removing, making folders, calls into C.
KILLED = """
import os, pathlib, signal, sys
path, count, at_once, kind = sys.argv[1:]
from tfrobust import files, staging
left = int(count)
EVENTS = ("open", "os.", "shutil.", "tempfile.", "fcntl.", "ctypes.")
def kill(event, arguments):
    global left
    left -= event.startswith(EVENTS) and event != "os.kill"
    if left < 0 and event != "os.kill":
        os.kill(os.getpid(), 9)
if at_once == "False":
    staging.swapped = lambda *folders: False
sys.addaudithook(kill)
if kind == "folder":
    with files.new_folder(path, overwrite=True) as new:
        (new / "deep").mkdir()
        (new / "deep" / "text.txt").write_text("new")
else:
    with files.new_file(path) as new:
        new.write_text("new")
os._exit(0)
"""


def start(nursery, tmp_path, text, *arguments):
    script = tmp_path / "script.py"
    script.write_text(text)
    return nursery.start(tmp_path / "log", script, *arguments)


@pytest.mark.parametrize(
    ("kind", "at_once"), [("folder", True), ("folder", False), ("file", True)]
)
def test_a_kill_at_any_moment_leaves_the_old_or_the_new(
    tmp_path, nursery, kind, at_once
):
    place = tmp_path / "place"
    path, name = place / "it", "it/deep/text.txt"
    if kind == "file":
        name = "it"

    def write(text):
        if kind == "file":
            with files.new_file(path) as new:
                new.write_text(text)
        else:
            with files.new_folder(path, overwrite=True) as new:
                fill(new, text)

    seen = []
    for count in range(1000):
        write("old")
        assert contents(place) == {name: "old"}
        child = start(nursery, tmp_path, KILLED, path, count, at_once, kind)
        code = nursery.wait(child)
        assert code in (0, -signal.SIGKILL), (tmp_path / "log").read_text()
        if at_once or kind == "file":
            assert contents(place)[name] in ("old", "new")
        if code == 0:
            break
        with staging.staging(path):
            seen.append(contents(place)[name])
        assert os.listdir(place) == ["it"]
    assert contents(place) == {name: "new"}
    # It was killed before and after the exchange, and only once in between.
    assert seen == sorted(seen, reverse=True) and set(seen) == {"old", "new"}


def test_the_staging_of_somebody_at_work_is_left_alone(tmp_path):
    path = tmp_path / "folder"
    with pytest.raises(FileExistsError, match="somebody else while"):
        with files.new_folder(path) as slow:
            fill(slow, "slow")
            with files.new_folder(path) as fast:
                fill(fast, "fast")
            assert contents(slow) == {"deep/text.txt": "slow"}
    assert contents(tmp_path) == {"folder/deep/text.txt": "fast"}


def test_of_many_at_once_one_wins_and_each_other_gets_the_sentence(tmp_path):
    begin, answers = threading.Barrier(8), []

    def write(text):
        try:
            with files.new_folder(tmp_path / "folder") as new:
                fill(new, text)
                begin.wait()
            answers.append(text)
        except FileExistsError as error:
            assert "by somebody else while this was at work" in str(error)
            answers.append(None)

    threads = [threading.Thread(target=write, args=[str(k)]) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = filter(None, answers)
    assert len(answers) == 8
    assert contents(tmp_path) == {"folder/deep/text.txt": winner}


@pytest.mark.parametrize(
    "name",
    [
        ".it-abcdefgh",
        ".it-abc.tfrobust",
        ".it-b-abcdefgh.tfrobust",
        "it-abcdefgh.tfrobust",
        ".other-abcdefgh.tfrobust",
    ],
)
def test_folders_of_others_are_not_cleaned_up(tmp_path, name):
    fill_at = tmp_path / name
    fill_at.mkdir()
    fill(fill_at, "theirs")
    with files.new_file(tmp_path / "it") as new:
        new.write_text("new")
    assert contents(tmp_path) == {
        f"{name}/deep/text.txt": "theirs",
        "it": "new",
    }
