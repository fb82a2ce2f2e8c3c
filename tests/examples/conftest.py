"""Runs example scripts as a user does, but imports TensorFlow only once."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).parents[2]

# Each line names the arguments and the log of a script, run in a fork.
NURSERY = """
import json, os, runpy, sys, traceback
sys.path[:0] = ["ROOT", "ROOT/examples"]
import sklearn.datasets, sklearn.model_selection, tensorflow, tfrobust
for line in sys.stdin:
    arguments, log = json.loads(line)
    child = os.fork()
    if child:
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        continue
    log = os.open(log, os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1), os.dup2(log, 2)
    sys.argv, code = arguments, 0
    try:
        runpy.run_path(arguments[0], run_name="__main__")
    except SystemExit as stop:
        code = stop.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush(), sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)
""".replace("ROOT", str(ROOT))


@pytest.fixture(scope="session")
def nursery():
    with subprocess.Popen(
        [sys.executable, "-c", NURSERY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        yield process
        process.stdin.close()


@pytest.fixture(scope="module")
def script(nursery, tmp_path_factory):
    """Returns the exit code and all output of a script, or of its start."""

    def run(name, *arguments, kill_at=None):
        log = tmp_path_factory.mktemp("log") / "log.txt"
        path = str(ROOT / "examples" / name)
        line = json.dumps([[path, *map(str, arguments)], str(log)])
        print(line, file=nursery.stdin, flush=True)
        child = int(nursery.stdout.readline())
        while kill_at and kill_at not in (
            log.read_text() if log.exists() else ""
        ):
            time.sleep(0.01)
        if kill_at:
            os.kill(child, signal.SIGKILL)
        return int(nursery.stdout.readline()), log.read_text()

    return run
