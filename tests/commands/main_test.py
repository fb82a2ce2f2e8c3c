"""The command as a user types it, in this process."""

import csv
import json

import numpy as np
import pytest

import tfrobust as tfr
from tfrobust.backend import keras
from tfrobust.commands.main import COMMANDS, main

pytestmark = pytest.mark.one_keras


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """A linear model of three classes that is right, and data for it."""
    room = tmp_path_factory.mktemp("room")
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    kernel = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    network.set_weights([kernel, np.zeros(3, np.float32)])
    network.save(room / "linear.keras")
    x = np.random.default_rng(1).uniform(size=(24, 4)).astype(np.float32)
    np.savez(room / "data.npz", x=x, y=np.argmax(x @ kernel, axis=1))
    (room / "empty").mkdir()
    return room


def run(room, line):
    """Runs a line in which {} is the room."""
    return main(line.format(room).split())


GIVEN = "--model={0}/linear.keras --data={0}/data.npz"


def test_a_model_is_evaluated_and_stopped_at_the_gate(room, capsys):
    line = f"evaluate {GIVEN} --epsilon=0.2 --attack=fgsm --min_accuracy=1"
    assert run(room, f"{line} --limit=8 --report={{0}}/report") == 1
    said = capsys.readouterr().out
    report = tfr.Report.load(room / "report")
    assert report.info["examples"] == 8
    assert report.info["name"] == f"{room}/linear.keras"
    assert [row.name for row in report.rows[:2]] == ["clean", "fgsm"]
    assert f"The report: {room}/report/report.html" in said
    assert "GATE: Accuracy" in said.splitlines()[-1]
    assert run(room, "compare {0}/report {0}/report") == 0
    assert run(room, "compare {0}/report --report={0}/table") == 0
    assert (room / "table").is_dir()
    assert f"in {room}/table." in capsys.readouterr().out


def test_a_model_is_certified(room, capsys):
    line = f"certify {GIVEN} --epsilon=0.01 --norm=l2 --verifier=crown"
    assert run(room, f"{line} --limit=8") == 0
    said = capsys.readouterr().out
    assert "| crown" in said
    assert "Nothing was written: --report=" in said.splitlines()[-1]


def test_a_network_is_trained_exported_and_its_card_shown(room, capsys):
    line = "train --data={0}/data.npz --epsilon=0.05 --output_dir={0}/run"
    assert run(room, f"{line} --epochs=2 --state={{0}}/state") == 0
    said = capsys.readouterr().out
    assert f"The model: {room}/run/model.keras" in said
    model = keras.models.load_model(room / "run" / "model.keras")
    assert isinstance(model, tfr.RobustModel)
    with (room / "run" / "history.csv").open() as file:
        lines = [*csv.DictReader(file)]
    assert len(lines) == 2
    assert {"epoch", "pgd10_accuracy", "val_pgd20_accuracy"} <= {*lines[0]}
    more = f"--epsilon=0.01 {GIVEN.split()[1]} --limit=4"
    line = "export --model={0}/run/model.keras --output_dir={0}/served"
    assert run(room, f"{line} {more}") == 0
    said = capsys.readouterr().out
    assert f"The SavedModel: {room}/served/1." in said
    assert run(room, "card {0}/served/1") == 0
    said = capsys.readouterr().out
    card = json.loads(
        (room / "served" / "1" / "robustness_card.json").read_text()
    )
    assert card["artefact"]["examples"] == 4
    assert f"weights_sha256           {card['weights_sha256']}" in said
    assert "as they were written" in said.splitlines()[-1]


def test_help_lists_commands_and_flags(capsys):
    for words in ([], ["--help"], ["help"]):
        assert main(words) == 0
        said = capsys.readouterr().out
        assert all(f"  {name} " in said for name in COMMANDS)
    for name in COMMANDS:
        assert main([name, "--help"]) == 0
        assert f"Usage: tfrobust {name} <flags>" in capsys.readouterr().out


@pytest.mark.parametrize(
    "line, sentence",
    [
        ("attack", "'attack' is none of train, evaluate, certify"),
        (f"evaluate {GIVEN} --epsilon=abc", "flag --epsilon=abc: could not"),
        (f"evaluate {GIVEN} --epsilon=-1", "--epsilon=-1"),
        (f"evaluate {GIVEN} --epsilon=8", "Did you mean 8/255?"),
        (f"evaluate {GIVEN}", "flag --epsilon=None: it must be given."),
        (f"evaluate {GIVEN} --epsilno=1", "Unknown command line flag"),
        (f"evaluate {GIVEN} --epsilon=0.1 --norm=max", "<linf|l2|l1>"),
        (f"evaluate {GIVEN} --epsilon=0.1 more", "Unexpected arguments"),
        (f"evaluate {GIVEN} --epsilon=0.1 --limit=0", "--limit=0"),
        (f"evaluate {GIVEN} --epsilon=0.1 --report={{0}}", "Name a new folder"),
        (f"certify {GIVEN} --epsilon=0.1 --verifier=best", "--verifier=best"),
        ("evaluate --model=no.keras --data=x --epsilon=0.1", "nothing at no."),
        ("evaluate --model={0}/empty --data=x --epsilon=0.1", "must be a .ker"),
        (
            "evaluate --model={0}/linear.keras --data=x.npz --epsilon=0.1",
            "where there is no file",
        ),
        ("train --data=digits --epsilon=0.1", "flag --output_dir=None"),
        (
            "export --model={0}/linear.keras --output_dir={0}/new "
            "--data=digits",
            "--data needs an --epsilon",
        ),
        ("export --model={0}/data.npz --output_dir={0}/new", "must be a .ker"),
        ("compare", "Name the folders of reports"),
        ("compare {0}", "no report.json"),
        ("card", "Name one exported model. Received: []"),
        ("card {0}", "There is no card at"),
    ],
)
def test_what_cannot_be_meant_is_one_line(room, capsys, line, sentence):
    assert run(room, line) == 2
    said = capsys.readouterr()
    assert not said.out
    (only,) = said.err.splitlines()
    assert only.startswith("tfrobust") and sentence in only
