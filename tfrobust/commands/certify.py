"""`tfrobust certify`: proves what can be proven of a model."""

from absl import flags

from tfrobust.commands import data, models, options, reports
from tfrobust.commands.choices import VERIFIERS
from tfrobust.evaluation import certify
from tfrobust.threats.norms import threat_of
from tfrobust.verifiers import BranchAndBound, ladder


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""
    shared = ("model", "data", "norm", "epsilon", "state", "report", "limit")
    options.define(values, *shared, needed="model data epsilon")
    flags.DEFINE_enum(
        "verifier",
        "ladder",
        ["ladder", *VERIFIERS],
        "The verifier; ladder runs one after the other on what is open.",
        flag_values=values,
    )
    flags.DEFINE_float(
        "timeout",
        10.0,
        "Seconds that branch and bound may take for each example that it is "
        "asked; 0 leaves it out of the ladder.",
        0.0,
        flag_values=values,
    )


def chosen(threat, name, timeout):
    """The verifiers that a flag names."""
    if name == "ladder":
        return ladder(threat, timeout)
    if name == "branch-and-bound":
        return [BranchAndBound(threat, timeout=timeout)]
    return [VERIFIERS[name](threat)]


def run(values: flags.FlagValues, words: list[str]) -> None:
    """Certifies and prints the report."""
    options.refuse_words(words)
    options.check_new("report", values.report)
    models.check("model", values.model)
    threat = threat_of(values.epsilon, values.norm)
    pair = data.test_set(values.data, values.limit)
    report = certify(
        models.load("model", values.model),
        pair,
        chosen(threat, values.verifier, values.timeout),
        state=values.state,
        name=values.model,
        dataset=values.data,
    )
    reports.finish(report, values.report)
