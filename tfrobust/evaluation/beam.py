"""Evaluating a dataset in shards, on the workers of an Apache Beam runner."""

import json
import pathlib
import tempfile
import uuid

import numpy as np
import tensorflow as tf
from absl import logging

from tfrobust.evaluation.evaluate import evaluate
from tfrobust.evaluation.merging import collected, merged, shards
from tfrobust.evaluation.provenance import Provenance
from tfrobust.evaluation.report import Report

ATTEMPTS = 3


def sharded(
    function,
    problem,
    folder=None,
    shard_size=1024,
    state=None,
    pipeline_options=None,
    **options,
):
    """Runs `tfr.evaluate` or `tfr.certify` on many workers.

    The verdicts are those of one process, since no example's depend on
    another. A shard that fails, or whose worker dies, runs again; each is
    counted once. Curves and diagnostics run once, on the first shard, which
    has at least as many examples as they ask for. The merged report differs
    from that of one process in times alone, and has no pictures.

    Args:
        function: `tfr.evaluate` or `tfr.certify`.
        problem: A function without arguments that returns the arguments of
            `function`: the model, a pair of arrays, and the adversaries or
            verifiers. Each worker calls it, so that nothing large travels.
        folder: Where shards leave their results, any path that Beam writes
            to; None takes a temporary folder, for runners on this machine.
        shard_size: Number of examples in a shard, in whole batches.
        state: A folder that all workers reach, in which unfinished shards
            keep their answers; None keeps none.
        pipeline_options: Beam's `PipelineOptions`, which name the runner.
        **options: Further arguments of `function`.

    Returns:
        A `Report`.

    Raises:
        ImportError: If Apache Beam is missing.
        RuntimeError: If a shard is missing in the end.

    Example:
        `sharded(tfr.evaluate, problem, pipeline_options=PipelineOptions(argv))`
    """
    beam = _beam()
    _, (x, y), *_ = problem()
    size = options.get("batch_size", 128)
    size *= -(-shard_size // size)
    first = 0
    if function is evaluate:
        first = options.get("diagnostic_examples", 256)
    parts = shards(len(x), size, first)
    work = Work(function, problem, state, options)
    with tempfile.TemporaryDirectory() as room:
        prefix = f"{folder or room}/shards-{uuid.uuid4().hex}"
        with beam.Pipeline(options=pipeline_options) as pipeline:
            _ = (
                pipeline
                | beam.Create(list(enumerate(parts)))
                | beam.Reshuffle()
                | beam.Map(work)
                | beam.io.WriteToText(prefix, ".json")
            )
        report = merged(collected(_read(beam, prefix), len(parts)))
    source = Provenance(None, "", None)
    source.add(x, y)
    report.info["data_sha256"] = source.info(len(x))["data_sha256"]
    return report


class Work:
    """What a worker does with a shard; see `sharded`."""

    def __init__(self, function, problem, state, options):
        self._function, self._problem = function, problem
        self._state, self._options = state, options
        self._loaded = None

    def __call__(self, shard):
        """Returns the number of a shard and its report, as JSON.

        Args:
            shard: Its number, and the pair of its edges.
        """
        number, (begin, end) = shard
        for attempt in range(ATTEMPTS):
            try:
                report = self._report(number, begin, end)
                break
            except (OSError, RuntimeError, tf.errors.OpError) as error:
                if attempt == ATTEMPTS - 1:
                    raise
                logging.warning("Shard %d runs again: %s", number, error)
                self._loaded = None
        return json.dumps([number, report.to_dict()], allow_nan=False)

    def _report(self, number, begin, end):
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


def _read(beam, prefix):
    """Yields the numbers and the reports of shards."""
    systems = beam.io.filesystems.FileSystems
    for match in systems.match([f"{prefix}*"]):
        for found in match.metadata_list:
            with systems.open(found.path) as file:
                lines = file.read().decode().splitlines()
            for number, record in map(json.loads, lines):
                yield number, Report.from_dict(record)


def _beam():
    try:
        import apache_beam
    except ImportError as error:
        raise ImportError(
            "Shards need Apache Beam: pip install 'tfrobust[beam]'."
        ) from error
    return apache_beam
