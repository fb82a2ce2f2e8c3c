"""`tfrobust export`: writes the SavedModel that is served."""

from absl import flags

from tfrobust.commands import data, models, options
from tfrobust.evaluation import Report
from tfrobust.exporting import export
from tfrobust.threats.norms import threat_of
from tfrobust.verifiers import CROWN


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""
    shared = ("model", "data", "norm", "epsilon", "report", "limit")
    options.define(values, *shared, "output_dir", needed="model output_dir")
    for name, text in {
        "model": "The .keras file, or zoo:NAME.",
        "data": f"What is written is attacked on it. {values['data'].help}",
        "epsilon": "Radius of the signatures that certify; none without it.",
        "report": "Folder of a report on the model, for the card.",
        "output_dir": "Folder of the versions, which may exist.",
    }.items():
        values[name].help = text


def run(values: flags.FlagValues, words: list[str]) -> None:
    """Exports, and says where."""
    options.refuse_words(words)
    model = models.load_keras("model", values.model)
    verifier = pair = None
    if values.epsilon is not None:
        verifier = CROWN(threat_of(values.epsilon, values.norm))
    if values.data is not None:
        if verifier is None:
            raise ValueError("--data needs an --epsilon to attack with.")
        pair = data.test_set(values.data, values.limit)
    path = export(
        model,
        values.output_dir,
        certify=verifier,
        data=pair,
        report=Report.load(values.report) if values.report else None,
    )
    print(
        f"\nThe SavedModel: {path}. Its card: {path}/robustness_card.json; "
        f"tfrobust card {path} shows it.\nStart the server: docker run "
        f"--publish 8501:8501 --volume {path.parent.absolute()}:/models/model "
        "tensorflow/serving"
    )
