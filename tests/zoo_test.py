"""The networks that come with the package, and how one is added."""

import json
import shutil

import numpy as np
import pytest

import tfrobust as tfr
from tfrobust import zoo
from tfrobust.backend import keras
from tfrobust.commands import models
from tfrobust.zoo import shelf

layers = keras.layers
RNG = np.random.default_rng(0)
X = RNG.uniform(size=(12, 6, 6, 1)).astype(np.float32)
Y = np.arange(12) % 3
LINF = tfr.threats.Linf(0.01)


def chain():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(4, 3, 2, "same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(4, 2, activation="relu"),
            layers.Flatten(),
            layers.Dense(4),
            tfr.layers.MinMax(),
            layers.Dense(3),
        ]
    )


def certified(model):
    return tfr.certify(model, (X, Y), tfr.verifiers.CROWN(LINF))


@pytest.fixture
def own_shelf(tmp_path, monkeypatch):
    """An empty folder in the place of the package's."""
    monkeypatch.setattr(shelf, "_MODELS", tmp_path)
    return tmp_path


def written(folder, name="small", make=chain):
    model = make()
    path = folder / f"{name}.npz"
    zoo.write(path, model, certified(model), "python train.py")
    return model


def test_what_is_written_is_found_with_its_card(own_shelf):
    assert zoo.list() == ()
    model = written(own_shelf)
    assert zoo.list() == ("small",)
    loaded = zoo.load("small")
    np.testing.assert_array_equal(loaded(X), model(X))
    assert loaded.name == "small" and loaded.input_shape[1:] == (6, 6, 1)
    card = zoo.card("small")
    assert card["command"] == "python train.py"
    report = certified(model)
    found = card["report"]["certified_accuracy"]
    assert found == report.certified_accuracy
    assert "verdicts" not in card["report"]


def test_a_loaded_network_trains_on(own_shelf):
    written(own_shelf)
    model = tfr.RobustModel(zoo.load("small"))
    pgd = tfr.attacks.PGD(LINF, steps=1)
    model.compile("adam", objective=tfr.objectives.WorstCase(pgd))
    model.fit(X, Y, verbose=0)


def test_of_a_sparse_binary_network_its_plain_form_is_written(own_shelf):
    kept = [layer for layer in chain().layers if "min" not in layer.name]
    dense = keras.Sequential([keras.Input((6, 6, 1)), *kept])
    sparse = tfr.compression.subnetwork(dense, density=0.1)
    report = certified(sparse)
    with pytest.raises(NotImplementedError, match=r"compression\.plain"):
        zoo.write(own_shelf / "sparse.npz", sparse, report, "command")
    written(own_shelf, "sparse", lambda: tfr.compression.plain(sparse))
    found, expected = zoo.load("sparse")(X), sparse(X)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_an_unknown_name_is_answered_with_those_that_exist(own_shelf):
    for name in ("one", "two"):
        written(own_shelf, name)
    for ask in (zoo.load, zoo.card):
        with pytest.raises(ValueError, match="one of one, two. Received: 'x'"):
            ask("x")


def test_commands_and_examples_find_it_by_its_name(own_shelf):
    model = written(own_shelf)
    models.check("model", "zoo:small")
    for load in (models.load, models.load_keras):
        found = load("model", "zoo:small")
        np.testing.assert_array_equal(found(X), model(X))
    with pytest.raises(ValueError, match="--model: the zoo holds small. Rec"):
        models.check("model", "zoo:large")


def test_damaged_weights_are_refused(own_shelf):
    written(own_shelf)
    path = own_shelf / "small.npz"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(ValueError, match="hashes"):
        zoo.load("small")


def test_nothing_is_overwritten_or_half_written(tmp_path):
    model = chain()
    report = certified(model)
    path = tmp_path / "small.npz"
    zoo.write(path, model, report, "command")
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        zoo.write(path, model, report, "command")
    with pytest.raises(ValueError, match=r"end in \.npz"):
        zoo.write(tmp_path / "small", model, report, "command")
    model.layers[0].set_weights([0 * w for w in model.layers[0].get_weights()])
    with pytest.raises(ValueError, match="on others"):
        zoo.write(tmp_path / "other.npz", model, report, "command")
    assert path.read_bytes() == before
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {"small.npz", "small.npz.json"}


def test_what_is_no_chain_of_its_layers_is_refused(tmp_path):
    image = keras.Input((6, 6, 1))
    x = layers.Flatten()(image)
    added = keras.Model(image, layers.Dense(3)(layers.Add()([x, x])))
    with pytest.raises(NotImplementedError, match=r"\(Add\)"):
        zoo.write(tmp_path / "a.npz", added, certified(added), "command")
    assert not [*tmp_path.iterdir()]


def test_every_network_of_the_package_is_as_its_card_says():
    for name in zoo.list():
        card, network = zoo.card(name), zoo.load(name)
        assert card["name"] == name
        assert card["command"].startswith("python examples/")
        assert card["weights"] == network.count_params()
        assert card["format"] == "NumPy"
        assert card["report"]["certified_accuracy"] > 0.5
        x = RNG.uniform(size=(2, *network.input_shape[1:]))
        assert np.all(np.isfinite(network(x.astype(np.float32))))


def test_all_of_them_together_are_small():
    sizes = [path.stat().st_size for path in shelf._MODELS.iterdir()]
    assert sum(sizes) <= 2 * 2**20


def test_the_card_is_what_is_on_disk(own_shelf):
    written(own_shelf)
    on_disk = json.loads((own_shelf / "small.npz.json").read_text())
    assert on_disk == zoo.card("small")
    shutil.copy(own_shelf / "small.npz", own_shelf / "bare.npz")
    assert zoo.list() == ("small",)
    with pytest.raises(ValueError, match="one of small"):
        zoo.load("bare")
