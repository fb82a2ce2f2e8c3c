import csv
import json
import shutil

import numpy as np
import pytest

import tfrobust as tfr
from tfrobust.backend import keras

pytestmark = pytest.mark.one_keras

SCRIPT = "adversarial_training.py"
SMALL = (
    "--train_examples=96",
    "--validation_examples=32",
    "--test_examples=32",
    "--batch_size=32",
    "--steps=1",
    "--test_steps=2",
    "--width=2",
    "--epochs=3",
    "--schedule=linear",
    "--ema=0.5",
    "--seed=3",
)


@pytest.fixture(scope="module")
def finished(script, tmp_path_factory):
    """The folder of a run that was not interrupted."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    code, output = script(SCRIPT, f"--model_dir={folder}", *SMALL)
    assert code == 0, output
    return folder


def history(folder):
    with (folder / "history.csv").open() as file:
        return list(csv.DictReader(file))


def weights(folder, name="model.keras"):
    return keras.models.load_model(folder / name).get_weights()


def test_training_leaves_flags_history_logs_the_best_and_the_last_model(
    finished,
):
    rows = history(finished)
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert {"loss", "pgd1_accuracy", "val_accuracy", "val_pgd_accuracy"} <= set(
        rows[0]
    )
    assert any((finished / "logs").rglob("events*"))
    for name in ("model.keras", "best.keras"):
        model = keras.models.load_model(finished / name)
        assert isinstance(model, tfr.RobustModel)
        assert model.predict(np.zeros((1, 8, 8, 1)), verbose=0).shape == (1, 10)
    lines = (finished / "flags.txt").read_text().splitlines()
    assert set(SMALL) < set(lines)
    assert {"--objective=pgd", "--noaugment"} < set(lines)
    # Replaying them must neither resume nor choose a task.
    assert not any("mode=" in line or "resume" in line for line in lines)


def test_flags_replay_a_run_that_may_be_killed_and_resumed_without_a_trace(
    script, finished, tmp_path
):
    arguments = (
        f"--flagfile={finished / 'flags.txt'}",
        f"--model_dir={tmp_path / 'again'}",
    )
    code, _ = script(SCRIPT, *arguments, kill_at="Epoch 2/3")
    assert code == -9
    assert not (tmp_path / "again" / "model.keras").exists()
    code, output = script(SCRIPT, *arguments, "--resume")
    assert code == 0, output
    assert history(tmp_path / "again") == history(finished)
    for name in ("model.keras", "best.keras"):
        pairs = zip(
            weights(tmp_path / "again", name),
            weights(finished, name),
            strict=True,
        )
        for one, two in pairs:
            np.testing.assert_array_equal(one, two)


def test_a_finished_run_goes_on_and_keeps_its_best_until_it_is_beaten(
    script, finished, tmp_path
):
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    value = history(folder)[-1]["val_pgd_accuracy"]
    text = (folder / "history.csv").read_text()
    (folder / "history.csv").write_text(text.replace(value, "1.0"))
    before = (folder / "best.keras").read_bytes()
    code, output = script(
        SCRIPT, f"--model_dir={folder}", *SMALL, "--epochs=4", "--resume"
    )
    assert code == 0, output
    assert [row["epoch"] for row in history(folder)] == list("0123")
    assert (folder / "best.keras").read_bytes() == before


def test_an_evaluation_leaves_a_report_beside_older_ones(script, finished):
    (finished / "report").mkdir()
    (finished / "report" / "old.txt").write_text("old")
    code, output = script(
        SCRIPT, f"--flagfile={finished / 'flags.txt'}", "--mode=evaluate"
    )
    assert code == 0, output
    folder = finished / "report-2"
    assert f"Report: {folder / 'report.html'}" in output
    report = json.loads((folder / "report.json").read_text())
    names = [row["name"] for row in report["rows"]]
    assert names == ["clean", "fgsm", "pgd", "worst case"]
    assert report["info"]["examples"] == 32
    assert report["dataset"] == "digits"
    assert report["eps"] == pytest.approx(0.1)
    assert list((finished / "report").iterdir()) == [
        finished / "report" / "old.txt"
    ]


def test_exports_are_numbered_quiet_and_ask_for_nothing_but_the_folder(
    script, finished
):
    arguments = [f"--model_dir={finished}", "--mode=export", "--model=best"]
    code, output = script(SCRIPT, *arguments)
    assert code == 0, output
    assert f"Exported to {finished / 'served' / '1'}" in output
    assert "contains input name" not in output
    assert "Assets written" not in output
    # The task may stand before the flags of the run, too.
    code, output = script(
        SCRIPT, "--mode=export", f"--flagfile={finished / 'flags.txt'}"
    )
    assert code == 0, output
    folders = (finished / "served").glob("[0-9]*")
    assert {folder.name for folder in folders} == {"1", "2"}


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--model_dir={run}"], "{run} holds a run. Pass --resume"),
        (
            ["--model_dir={run}", *SMALL, "--resume", "--epsilon=0.2"],
            "was started without --epsilon=0.2. To go on with it, pass",
        ),
        (["--model_dir={new}", "extra"], "Unexpected arguments: ['extra']"),
        ([], "--model_dir must have a value other than None"),
        (["--model_dir={new}", "--objective=magic"], "value should be one of"),
        (["--model_dir={new}", "--epochs=0"], "--epochs=0: 0 is not"),
        (
            ["--model_dir={new}", "--validation_examples=2000"],
            "--validation_examples=2000 of 1437",
        ),
        (["--model_dir={new}", "--epsilon=8"], "Did you mean 8/255?"),
        (
            ["--model_dir={new}", "--dataset=mnist", "--data_dir={new}"],
            "{new}/mnist.npz is missing: put there",
        ),
        (
            ["--model_dir={new}", "--mode=evaluate"],
            "{new}/model.keras is missing. Train first, to the end.",
        ),
        (
            ["--model_dir={new}", "--mode=export", "--model=best"],
            "{new}/best.keras is missing.",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_and_leaves_no_folder(
    script, finished, tmp_path, arguments, sentence
):
    new = tmp_path / "new"
    kept = (finished / "model.keras").read_bytes()
    names = {"run": finished, "new": new}
    code, output = script(SCRIPT, *(a.format(**names) for a in arguments))
    assert code == 1
    # absl wraps what it prints.
    assert sentence.format(**names) in output.replace("\n", " ")
    assert not new.exists()
    assert (finished / "model.keras").read_bytes() == kept


def test_the_help_shows_every_flag_of_a_run(script):
    code, output = script(SCRIPT, "--helpshort")
    assert code == 1
    flags = (
        "dataset data_dir objective attack norm epsilon schedule model_dir "
        "[no]resume seed mode"
    )
    for flag in flags.split():
        assert f"--{flag}:" in output
    assert "<digits|mnist|fashion_mnist|cifar10>" in output
    assert "<train|evaluate|export>" in output
