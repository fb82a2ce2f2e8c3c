"""Runs example scripts as a user does."""

import os
import signal
import time

import pytest

from tests.nursery import ROOT


@pytest.fixture(scope="module")
def script(nursery, tmp_path_factory):
    """Returns the exit code and all output of a script, or of its start."""

    def run(name, *arguments, kill_at=None):
        log = tmp_path_factory.mktemp("log") / "log.txt"
        child = nursery.start(log, ROOT / "examples" / name, *arguments)
        while kill_at and kill_at not in (
            log.read_text() if log.exists() else ""
        ):
            time.sleep(0.01)
        if kill_at:
            os.kill(child, signal.SIGKILL)
        return nursery.wait(child), log.read_text()

    return run
