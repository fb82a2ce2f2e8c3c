"""Breaks the code on purpose, one line at a time, and asks the tests for it.

    python tests/mutate.py [--only=ID[,ID]] [--jobs=1]

Each entry of mutants.toml is a mistake that decides whether a number can be
trusted. A copy of the code with that mistake runs the tests that guard it, in a
process of its own; one that passes them all is alive, and so are they tests
that cannot fail. Before that the tests run on the code as it is: what fails
there would tell nothing.
"""

import argparse
import collections
import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

try:
    import tomllib
except ImportError:  # Before Python 3.11; pytest brings the same.
    import tomli as tomllib

ROOT = pathlib.Path(__file__).parents[1]
TABLE = pathlib.Path(__file__).with_name("mutants.toml")
SECONDS = 900  # How long the tests of one mutant may take.
FAILED, PASSED = 1, 0  # What pytest returns; all else is a mistake of ours.

Mutant = collections.namedtuple(
    "Mutant", ["id", "file", "old", "new", "tests", "why", "keras"]
)


def mutants():
    """Reads the table: a list of `Mutant`, `keras` being "3" or "2"."""
    entries = tomllib.loads(TABLE.read_text())["mutant"]
    return [Mutant(**{"keras": "3", **entry}) for entry in entries]


def problem(mutant, root=ROOT):
    """Why a mutant can't be made of the code as it is; None if it can."""
    path = root / mutant.file
    if not path.exists():
        return "file not found"
    count = path.read_text().count(mutant.old)
    if count != 1:
        return f"text found {count} times" if count else "text not found"
    missing = [test for test in mutant.tests if not _exists(test, root)]
    return f"no {missing[0]}" if missing else None


def _exists(test, root):
    """Whether a file has a test, whatever its parameters."""
    file, _, name = test.partition("::")
    path, name = root / file, name.partition("[")[0]
    return path.exists() and (not name or f"def {name}(" in path.read_text())


def tested(tests, keras, mutant=None):
    """Runs tests on a copy of the code, with one mistake; what became of it."""
    with tempfile.TemporaryDirectory() as room:
        room = pathlib.Path(room)
        unwanted = shutil.ignore_patterns("__pycache__")
        for folder in ("tfrobust", "tests", "examples"):
            shutil.copytree(ROOT / folder, room / folder, ignore=unwanted)
        for file in ("pyproject.toml", "BUILD"):
            shutil.copy(ROOT / file, room)
        if mutant:
            path = room / mutant.file
            path.write_text(path.read_text().replace(mutant.old, mutant.new))
        command = [sys.executable, "-m", "pytest", "-x", "-q", *tests]
        command += ["-p", "no:cacheprovider"]
        environment = {
            **os.environ,
            "PYTHONPATH": str(room),
            "TF_USE_LEGACY_KERAS": "1" if keras == "2" else "0",
        }
        try:
            done = subprocess.run(
                command,
                cwd=room,
                env=environment,
                timeout=SECONDS,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        except subprocess.TimeoutExpired:
            return f"no end within {SECONDS} s"
    if done.returncode == FAILED:
        return "killed"
    if done.returncode == PASSED:
        return "ALIVE"
    return f"pytest ended with {done.returncode}:\n{done.stdout[-2000:]}"


def fate(mutant):
    """What becomes of a mutant, and the seconds that it took."""
    begin = time.monotonic()
    found = problem(mutant) or tested(mutant.tests, mutant.keras, mutant)
    return found, time.monotonic() - begin


def unbroken(chosen):
    """Whether the tests of some mutants pass on the code as it is."""
    tests = collections.defaultdict(dict)
    for mutant in chosen:
        tests[mutant.keras].update(dict.fromkeys(mutant.tests))
    found = {keras: tested(names, keras) for keras, names in tests.items()}
    for keras, result in found.items():
        if result != "ALIVE":
            print(f"On the code as it is, under Keras {keras}: {result}")
    return set(found.values()) <= {"ALIVE"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", help="ids, separated by commas")
    parser.add_argument("--jobs", type=int, default=1, help="how many at once")
    options = parser.parse_args()
    chosen = mutants()
    if options.only:
        ids = options.only.split(",")
        chosen = [mutant for mutant in chosen if mutant.id in ids]
        if len(chosen) < len(ids):
            parser.error(f"Some of {ids} are not in {TABLE.name}.")
    if not unbroken(chosen):
        sys.exit(1)
    fates = collections.Counter()
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for mutant, (found, seconds) in zip(
            chosen, pool.map(fate, chosen), strict=True
        ):
            print(f"{found:8} {seconds:5.0f} s  {mutant.id:32} {mutant.why}")
            sys.stdout.flush()
            fates["killed" if found == "killed" else "other"] += 1
    print(f"{fates['killed']} of {len(chosen)} mutants killed.")
    sys.exit(1 if fates["other"] else 0)


if __name__ == "__main__":
    main()
