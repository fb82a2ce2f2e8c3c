"""Two reports next to each other: pairs, intervals, and what is no pair."""

import json

import numpy as np
import pytest

import tfrobust as tfr
from tfrobust.backend import keras

pytestmark = pytest.mark.one_keras

RNG = np.random.default_rng(0)
X = RNG.uniform(size=(12, 5, 5, 1)).astype(np.float32)
Y = np.arange(12) % 3
LINF = tfr.threats.Linf(0.1)


def made(seed):
    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Flatten(), keras.layers.Dense(3)]
    return keras.Sequential([keras.Input((5, 5, 1)), *layers])


def run(path, model, sections=("attributions",), **options):
    options = {"few": 6, "verbose": 0, **options}
    tfr.analysis.report(model, (X, Y), LINF, path, sections, **options)
    return path


@pytest.fixture(scope="module", name="reports")
def _reports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    return [run(folder / str(seed), made(seed)) for seed in range(2)]


def test_examples_are_compared_each_with_itself(reports):
    found = tfr.analysis.compare(*reports)["attributions"]["Gini index"]
    one, two = (
        tfr.analysis.gini(tfr.analysis.saliency(made(seed), X, Y)).astype(float)
        for seed in range(2)
    )
    away = one - two
    off = 1.96 * away.std(ddof=1) / np.sqrt(12)
    expected = {
        "mean": one.mean(),
        "other": two.mean(),
        "difference": away.mean(),
        "low": away.mean() - off,
        "high": away.mean() + off,
        "pairs": 12,
    }
    assert found == pytest.approx(expected, rel=1e-5)


def test_a_network_does_not_differ_from_itself(reports):
    for values in tfr.analysis.compare(reports[0], reports[0]).values():
        for value in values.values():
            assert value["difference"] == value["low"] == value["high"] == 0


def test_only_pairs_count(reports, tmp_path):
    for number in range(2):
        folder = tmp_path / str(number) / "boundary"
        folder.mkdir(parents=True)
        report = json.loads((reports[number] / "report.json").read_text())
        report["sections"] = {
            "boundary": {"distance": {"mean": 5.0}, "share": {"mean": 0.25}}
        }
        (folder.parent / "report.json").write_text(json.dumps(report))
        values = [[1.0, np.nan, 3.0, 4.0], [0.0, 1.0, np.nan, 2.0]][number]
        np.savez(folder / "examples.npz", distance=np.array(values))
    found = tfr.analysis.compare(tmp_path / "0", tmp_path / "1")["boundary"]
    assert found["share"] == {"mean": 0.25, "other": 0.25, "difference": 0}
    assert found["distance"]["pairs"] == 2
    assert found["distance"]["difference"] == 1.5
    assert found["distance"]["mean"] == 2.5


def test_reports_of_something_else_are_refused(reports, tmp_path):
    fewer = run(tmp_path / "fewer", made(0), examples=8)
    seed = run(tmp_path / "seed", made(0), seed=1)
    section = run(tmp_path / "section", made(0), ["faithfulness"])
    for other, message in (
        (fewer, "same data_sha256"),
        (seed, "same seed"),
        (section, r"have a section of \['attributions'\]"),
    ):
        with pytest.raises(ValueError, match=message):
            tfr.analysis.compare(reports[0], other)


def test_a_folder_without_a_report_is_named(reports, tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing holds no finished"):
        tfr.analysis.compare(reports[0], tmp_path / "nothing")
