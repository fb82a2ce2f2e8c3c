"""`tfrobust evaluate`: attacks a model and reports its accuracy."""

from absl import flags

from tfrobust.commands import data, models, options, reports
from tfrobust.commands.choices import ATTACKS
from tfrobust.evaluation import evaluate
from tfrobust.threats.norms import threat_of


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""
    shared = ("model", "data", "norm", "epsilon", "state", "report", "limit")
    options.define(values, *shared, needed="model data epsilon")
    flags.DEFINE_multi_enum(
        "attack",
        ["autoattack"],
        [*ATTACKS],
        "The attack",
        flag_values=values,
    )
    flags.DEFINE_float(
        "min_accuracy",
        None,
        "Exit with 1 below this share, or if the report isn't to be relied on.",
        0.0,
        1.0,
        flag_values=values,
    )


def run(values: flags.FlagValues, words: list[str]) -> int:
    """Evaluates, prints the report and returns the exit code."""
    options.refuse_words(words)
    options.check_new("report", values.report)
    models.check("model", values.model)
    threat = threat_of(values.epsilon, values.norm)
    pair = data.test_set(values.data, values.limit)
    report = evaluate(
        models.load("model", values.model),
        pair,
        {name: ATTACKS[name](threat) for name in values.attack},
        state=values.state,
        name=values.model,
        dataset=values.data,
    )
    reports.finish(report, values.report)
    return reports.gate(report, values.min_accuracy)
