"""Runs scripts in processes of their own that need not import TensorFlow.

They are forks of one process that imported it and did nothing else.
"""

import json
import os
import pathlib
import runpy
import signal
import subprocess
import sys
import traceback

ROOT = pathlib.Path(__file__).parents[1]
SECONDS = 300  # How long a script may take.


class Nursery:
    """Starts scripts; close it by leaving its `with` block."""

    def __enter__(self):
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        return self

    def __exit__(self, *error):
        self._process.__exit__(*error)  # At the end of its input it ends.

    def start(self, log, path, *arguments, **environment):
        """Starts a script.

        Args:
            log: A file for its output and errors.
            path: The script.
            *arguments: Its arguments.
            **environment: Replaces variables of the environment.

        Returns:
            The number of its process.
        """
        arguments = [str(path), *map(str, arguments)]
        return self._ask(arguments, str(log), environment)

    def wait(self, child):
        """Waits for a script and returns its exit code, or minus a signal."""
        return self._ask(child)

    def _ask(self, *question):
        print(json.dumps(question), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())


def serve():
    import sklearn.datasets
    import sklearn.model_selection  # noqa: F401
    import tensorflow  # noqa: F401

    import tfrobust  # noqa: F401

    for line in sys.stdin:
        question = json.loads(line)
        if len(question) == 1:
            answer = os.waitstatus_to_exitcode(os.waitpid(*question, 0)[1])
        else:
            answer = os.fork()
            if not answer:
                run(*question)
        print(answer, flush=True)


def run(arguments, log, environment):
    """Runs a script in this process and ends it."""
    signal.alarm(SECONDS)
    os.environ |= environment
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1), os.dup2(output, 2)
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


if __name__ == "__main__":
    sys.path[:1] = [str(ROOT), str(ROOT / "examples")]
    serve()
