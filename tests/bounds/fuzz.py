"""Tries to break the verifiers with networks drawn at random.

    python -m tests.bounds.fuzz --networks=10000 --seed=0

Networks of seeds `seed` to `seed + networks - 1`, so that a run that was
stopped goes on with a larger `--seed`. One of them: `--networks=1 --seed=17`.
"""

import collections
import re
import time

import numpy as np
import tensorflow as tf
from absl import app, flags

from tests.bounds.fuzzed import judge, networks, rounding

FLAGS = flags.FLAGS


def chosen(seed, count, searches=0.01):
    """Verifiers for a network; now and then a search, which takes seconds."""
    rng = np.random.default_rng([seed, 4])
    if rng.random() < searches:
        return [str(rng.choice(list(judge.SEARCHES)))]
    names = list(judge.VERIFIERS)
    if count >= len(names):
        return names
    # AlphaCROWN takes as long as all others.
    shares = np.array([0.25 if n == "AlphaCROWN" else 1.0 for n in names])
    picked = rng.choice(len(names), count, False, shares / shares.sum())
    return [names[k] for k in picked]


class Findings:
    """What was found, each kind reported once.

    Args:
        shrink: Whether to look for shorter networks.
        report: Called with the text of every violation of a new kind.
    """

    def __init__(self, shrink=True, report=print):
        self.shrink, self.report = shrink, report
        self.outcomes: collections.Counter = collections.Counter()
        self.kinds: collections.Counter = collections.Counter()
        self.reasons: collections.Counter = collections.Counter()
        self.violations = []
        self._culprits = set()

    def add(self, seed, spec, network, verdicts):
        """Takes in the verdicts on one network."""
        for verdict in verdicts.values():
            self.outcomes[verdict.outcome] += 1
            if verdict.outcome == "refused":
                op = re.search(r"the op (\w+)|The op (\w+)", verdict.reason)
                self.reasons[op and (op[1] or op[2])] += 1
            if verdict.violation:
                self._violated(seed, spec, network, verdict.violation)

    def _violated(self, seed, spec, network, violation):
        self.violations.append((seed, violation))
        self.outcomes[violation.kind] += 1
        # What a single step breaks is known once it is found.
        known = (
            {(violation.kind, name) for name, _ in network.taken}
            | {judge.alike(violation)}
        ) & self._culprits
        if known:
            self.kinds[min(known, key=str)] += 1
            return
        if self.shrink:
            spec = judge.shrunk(spec, seed, violation)
            network, verdicts = judge.judge(spec, seed, [violation.verifier])
            violation = verdicts[violation.verifier].violation
        names = [name for name, _ in network.taken]
        key = judge.alike(violation)
        if violation.kind != "crash":
            key = violation.kind, *names
        self.kinds[key] += 1
        if self.kinds[key] == 1:
            if len(key) == 2:
                self._culprits.add(key)
            self.report(
                f"{violation.kind.upper()} seed={seed} {violation.verifier}: "
                f"{violation.text}\n    {tuple(network.spec)}\n    "
                + str(network).replace("\n", "\n    "),
            )


def spec_of(seed, share=0.2):
    """A network of any steps, or of one family of rounding."""
    if np.random.default_rng([seed, 8]).random() < share:
        return rounding.Rounded(seed).spec
    return networks.drawn(seed)


def run(seeds, count=2, shrink=True, report=print):
    """Judges the networks of some seeds; returns the `Findings`."""
    findings = Findings(shrink, report)
    start = time.time()
    for done, seed in enumerate(seeds, 1):
        spec = spec_of(seed)
        findings.add(seed, spec, *judge.judge(spec, seed, chosen(seed, count)))
        if done % 200 == 0:
            report(
                f"seeds to {seed}: {dict(findings.outcomes)}, "
                f"{(time.time() - start) / done:.3f} s each"
            )
    return findings


def main(argv):
    del argv
    # Networks are made anew all the time, and traced again.
    tf.get_logger().setLevel("ERROR")
    tf.config.optimizer.set_experimental_options(
        {"disable_meta_optimizer": not FLAGS.grappler}
    )
    seeds = range(FLAGS.seed, FLAGS.seed + FLAGS.networks)

    def report(text):
        print(text, flush=True)

    findings = run(seeds, FLAGS.verifiers, FLAGS.shrink, report)
    print("refused:", dict(findings.reasons.most_common()))
    print("violations:", dict(findings.kinds.most_common()))
    print(f"{len(seeds)} networks, {dict(findings.outcomes)}")


if __name__ == "__main__":
    flags.DEFINE_integer("networks", 1000, "How many networks.")
    flags.DEFINE_integer("seed", 0, "The first seed.")
    flags.DEFINE_integer("verifiers", 2, "How many verifiers for each.")
    flags.DEFINE_bool("shrink", True, "Whether to look for shorter networks.")
    flags.DEFINE_bool("grappler", False, "Whether graphs are optimised.")
    app.run(main)
