"""Evaluating a dataset in shards, on the workers of an Apache Beam runner."""

import json
import multiprocessing
import os
import pathlib
import pickle
import tempfile
import uuid
from collections.abc import Callable, Sequence
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import numpy as np
from absl import logging

from tfrobust.evaluation import merging
from tfrobust.evaluation.evaluate import evaluate
from tfrobust.evaluation.provenance import Provenance
from tfrobust.evaluation.report import Report

ATTEMPTS = 3


def sharded(
    function: Callable[..., Report],
    problem: Callable[[], tuple[Any, ...]],
    folder: str | None = None,
    shard_size: int = 1024,
    state: str | os.PathLike | None = None,
    flags: Sequence[str] = (),
    **options: Any,
) -> Report:
    """Runs `tfr.evaluate` or `tfr.certify` on many workers.

    The verdicts are those of one process, since no example's depends on
    another. Each worker computes in a process of its own, so that it notices if
    that is killed, as for its memory. A shard that fails, or whose process or
    worker dies, runs again, three times in all; each is counted once. Curves
    and diagnostics run on the first shard, which has at least as many examples
    as they ask for. The merged report differs from that of one process in times
    alone, and has no pictures.

    Args:
        function: `tfr.evaluate` or `tfr.certify`.
        problem: A function without arguments that returns the arguments of
            `function`: the model, a pair of arrays, and the adversaries or
            verifiers. Each worker calls it, so that nothing large travels.
        folder: Where shards leave their results, any path that Beam writes
            to; None takes a temporary folder, for runners on this machine.
        shard_size: Number of examples in a shard; `evaluate` rounds it up to
            whole batches.
        state: A folder that all workers reach, in which unfinished shards
            keep their answers; None keeps none.
        flags: Beam's options as on a command line, which name the runner.
        **options: Further arguments of `function`.

    Returns:
        A `Report`.

    Raises:
        ImportError: If Apache Beam is missing.
        RuntimeError: If a shard is missing in the end; its cause names each
            that failed, and with what.

    Example:
        `sharded(tfr.evaluate, problem, flags=["--runner=DirectRunner"])`
    """
    beam = _beam()
    _, (x, y), *_ = problem()
    size, first = shard_size, 0
    if function is evaluate:
        # Whole batches, so that they are those of one process.
        size = options.get("batch_size", 128)
        size *= -(-shard_size // size)
        first = options.get("diagnostic_examples", 256)
    parts = merging.shards(len(x), size, first)
    with tempfile.TemporaryDirectory() as room:
        prefix = f"{folder or room}/{uuid.uuid4().hex}"
        work = Work(function, problem, prefix, state, options)
        report = merging.merged(_reports(beam, work, parts, list(flags)))
    source = Provenance(None, "", None)
    source.add(x, y)
    report.info["data_sha256"] = source.info(len(x))["data_sha256"]
    return report


class Work:
    """What a worker does with a shard; see `sharded`.

    Args:
        prefix: With what the paths of the results begin.
    """

    def __init__(self, function, problem, prefix, state, options):
        self._function, self._problem = function, problem
        self.prefix, self._state, self._options = prefix, state, options
        self._loaded = self._process = None

    def __call__(self, shard):
        """Evaluates a shard, and writes its report to a file of its own.

        Why a shard failed is written too, so that those behind it still run.

        Args:
            shard: Its number, and the pair of its edges.
        """
        try:
            found, kind = self._computed(shard), "json"
        except Exception as error:
            found, kind = f"{type(error).__name__}: {error}", "failed"
        systems = _filesystems()
        # The file appears whole, and a shard that ran twice replaces itself.
        path = f"{self.prefix}.{uuid.uuid4().hex}"
        with systems.create(path) as file:
            file.write(json.dumps([shard[0], found]).encode())
        systems.rename([path], [f"{self.prefix}-{shard[0]}.{kind}"])

    def _computed(self, shard):
        """What a report on a shard holds, computed in another process."""
        if self._process is None:
            self._process = futures.ProcessPoolExecutor(
                max_workers=1,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_begin,
                initargs=(_pickler().dumps(self),),
            )
        try:
            return self._process.submit(_found, shard).result()
        except BrokenProcessPool:
            self._process = None
            raise

    def report(self, number, begin, end):
        """The report of a shard, computed in this process."""
        if self._loaded is None:
            self._loaded = self._problem()
        model, (x, y), *others = self._loaded
        options = {**self._options, "verbose": 0}
        if self._state is not None:
            options["state"] = pathlib.Path(self._state, f"shard-{number}.npz")
        if self._function is evaluate and number > 0:
            options["diagnostic_examples"] = 0
        data = np.asarray(x[begin:end]), np.asarray(y[begin:end])
        return self._function(model, data, *others, **options)


_WORK: Any = None  # Of the process that computes.


def _begin(pickled):
    global _WORK
    _WORK = pickle.loads(pickled)


def _found(shard):
    number, edges = shard
    return _WORK.report(number, *edges).to_dict()


def _reports(beam, work, parts, flags):
    """Runs the shards, and those again that did not come back."""
    found, failures, broken = {}, {}, None
    for _ in range(ATTEMPTS):
        todo = [part for part in enumerate(parts) if part[0] not in found]
        if not todo:
            break
        try:
            with beam.Pipeline(argv=flags) as pipeline:
                shards = pipeline | beam.Create(todo) | beam.Reshuffle()
                _ = shards | beam.Map(work)
        # Each runner has exceptions of its own for a worker that died.
        except Exception as error:
            logging.warning("Some shards run again, after: %s", error)
            broken = error
        for number, record in _read(work.prefix, "json"):
            found[number] = Report.from_dict(record)
        for number, failure in _read(work.prefix, "failed", delete=True):
            logging.warning("Shard %d failed: %s", number, failure)
            failures[number] = f"shard {number} failed with {failure}"
    try:
        return merging.collected(found.items(), len(parts))
    except RuntimeError as error:
        told = "; ".join(failures[n] for n in sorted(failures.keys() - found))
        raise error from (RuntimeError(told) if told else broken)


def _read(prefix, kind, delete=False):
    """Returns numbers of shards, and what was written of each."""
    systems = _filesystems()
    (matched,) = systems.match([f"{prefix}-*.{kind}"])
    paths, found = [part.path for part in matched.metadata_list], []
    for path in paths:
        with systems.open(path) as file:
            found.append(json.loads(file.read()))
    if delete and paths:
        systems.delete(paths)
    return found


def _pickler():
    """What pickles functions of a script, too."""
    import cloudpickle

    return cloudpickle


def _filesystems():
    """What opens local paths, and those of clouds."""
    return _beam().io.filesystems.FileSystems


def _beam():
    try:
        import apache_beam
    except ImportError as error:
        raise ImportError(
            "Shards need Apache Beam: pip install 'tfrobust[beam]'."
        ) from error
    return apache_beam
