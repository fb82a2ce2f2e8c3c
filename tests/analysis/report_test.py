"""The page about a network: complete, resumed, and never overwritten."""

import json

import numpy as np
import pytest

import tfrobust as tfr
from tfrobust.analysis.sections import SECTIONS
from tfrobust.backend import keras

pytestmark = pytest.mark.one_keras

LINF = tfr.threats.Linf(0.1)
RNG = np.random.default_rng(0)
X = RNG.uniform(size=(12, 5, 5, 1)).astype(np.float32)
Y = np.arange(12) % 3


def made(seed=0):
    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Flatten(), keras.layers.Dense(6, "tanh")]
    head = keras.layers.Dense(3)
    network = keras.Sequential([keras.Input((5, 5, 1)), *layers, head])
    model = tfr.RobustModel(network)
    model.compile("sgd")
    return model


def run(path, model=None, **options):
    model = made() if model is None else model
    return tfr.analysis.report(
        model, (X, Y), LINF, path, few=6, verbose=0, **options
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a report of all sections, and what it returned."""
    folder = tmp_path_factory.mktemp("report") / "page"
    return folder, run(folder, name="a <small> model")


def test_every_section_is_on_one_page_that_needs_nothing_else(whole):
    folder, found = whole
    page = (folder / "index.html").read_text()
    assert list(found) == list(SECTIONS)
    for name, values in found.items():
        assert SECTIONS[name].title in page and values
        for value in values:
            assert f"<td>{value}</td>" in page
    pictures = sorted(path.stem for path in folder.glob("*/*.png"))
    assert pictures == ["continuity", "density", "line", "made", "maps"]
    assert page.count("data:image/png;base64,") == 5
    assert "a &lt;small&gt; model" in page and "<small>" not in page
    for part in (
        "Linf(epsilon=0.1",
        "PGD(",
        "weights (SHA-256)",
        "data (SHA-256)",
    ):
        assert part in page
    assert "src=" not in page.replace('src="data:', "")


def test_what_is_returned_is_in_the_json_with_its_source(whole):
    folder, found = whole
    written = json.loads((folder / "report.json").read_text())
    assert json.dumps(written["sections"]) == json.dumps(found)
    assert written["info"]["examples"] == 12 and written["info"]["few"] == 6


def test_values_are_those_of_the_tools(whole):
    _, found = whole
    gini = tfr.analysis.gini(tfr.analysis.saliency(made(), X, Y))
    value = found["attributions"]["Gini index"]
    off = 1.96 * np.std(gini, ddof=1) / np.sqrt(12)
    expected = [gini.mean(), gini.mean() - off, gini.mean() + off]
    ends = [value[end] for end in ("mean", "low", "high")]
    np.testing.assert_allclose(ends, expected, rtol=1e-4)
    assert value["median"] == pytest.approx(np.median(gini), rel=1e-4)


def test_what_a_network_makes_is_shown_to_a_judge(tmp_path):
    network = made().network
    found = run(tmp_path / "page", None, sections=["generation"], judge=made(1))
    away = (X - np.roll(X, 1, axis=0)).reshape(12, -1)
    images = tfr.analysis.generate(
        network,
        X,
        (Y + 1) % 3,
        np.linalg.norm(away, axis=1).mean() / 2,
        low=X.min(),
        high=X.max(),
        judge=made(1),
    )
    features = tfr.analysis.invert_features(
        network,
        network.layers[-2].name,
        X[:6],
        low=float(X.min()),
        high=float(X.max()),
    )
    expected = {
        "takes it for the target": images.reached,
        "the judge takes it for the target": images.judged,
        "distance of inverted features": features.distance,
        "squared error of their images": features.error,
    }
    assert list(found["generation"]) == list(expected)
    for name, values in expected.items():
        mean = found["generation"][name]["mean"]
        assert mean == pytest.approx(np.mean(values), rel=1e-3)
    with pytest.raises(FileExistsError, match="holds something else"):
        run(tmp_path / "page", None, sections=["generation"], judge=made(2))
    run(tmp_path / "alone", None, sections=["generation"])
    with pytest.raises(ValueError, match="same judge_sha256"):
        tfr.analysis.compare(tmp_path / "page", tmp_path / "alone")


class Opaque(keras.Model):
    """A network that doesn't tell its layers' outputs."""

    def __init__(self):
        super().__init__()
        self.inner = made().network

    def call(self, x, training=False):
        return self.inner(x)


@pytest.mark.parametrize("shape", [(25,), (5, 5, 2), (1, 5, 5, 1)])
def test_networks_and_inputs_of_any_form_are_looked_at(tmp_path, shape):
    x = RNG.uniform(size=(6, *shape)).astype(np.float32)
    layers = [keras.layers.Flatten(), keras.layers.Dense(3)]
    model = keras.Sequential([keras.Input(shape), *layers])
    for number, network in enumerate((model, tfr.RobustModel(model))):
        found = tfr.analysis.report(
            network,
            (x, Y[:6]),
            LINF,
            tmp_path / str(number),
            ["attributions", "generation"],
            few=2,
            verbose=0,
        )
        assert "squared error of their images" in found["generation"]
        assert "mass on bright pixels" not in found["attributions"]


def test_a_network_that_hides_its_layers_is_looked_at(tmp_path):
    found = run(tmp_path, Opaque(), sections=["generation"])
    assert list(found["generation"]) == ["takes it for the target"]


def test_finished_sections_are_not_computed_again(tmp_path):
    model, chosen = made(), ["smoothness", "attributions"]
    run(tmp_path / "page", model, sections=chosen[:1])
    values = tmp_path / "page" / "smoothness" / "values.json"
    values.write_text('{"kept": {"mean": 7.0}}')
    found = run(tmp_path / "page", model, sections=chosen)
    assert found["smoothness"] == {"kept": {"mean": 7.0}}
    assert list(found) == chosen


def test_another_report_is_kept(tmp_path):
    run(tmp_path, sections=["smoothness"])
    before = (tmp_path / "index.html").read_bytes()
    for options in ({"model": made(1)}, {"seed": 1}, {"examples": 8}):
        with pytest.raises(FileExistsError, match="holds something else"):
            run(tmp_path, sections=["smoothness"], **options)
    assert (tmp_path / "index.html").read_bytes() == before


def test_what_cannot_be_looked_at_is_refused_before_anything_is_written(
    tmp_path,
):
    path = tmp_path / "page"
    half = keras.Sequential(
        [keras.Input((5, 5, 1)), keras.layers.Flatten(dtype="float16")]
    )
    for error, message, options in (
        (ValueError, "`sections` must be some of smooth", {"sections": ["x"]}),
        (ValueError, "`few` must be at least 1", {"few": 0}),
        (ValueError, "must compute in float32", {"model": half}),
        (TypeError, "`model` must be a Model", {"model": lambda x: x}),
    ):
        arguments = {"model": made(), "few": 6, "verbose": 0, **options}
        model = arguments.pop("model")
        with pytest.raises(error, match=message):
            tfr.analysis.report(model, (X, Y), LINF, path, **arguments)
    with pytest.raises(TypeError, match="`attack` must be"):
        tfr.analysis.report(made(), (X, Y), 0.1, path)
    assert not path.exists()
