"""Several inputs and outputs as one, against NumPy."""

import numpy as np
import pytest

import tfrobust as tfr
from tfrobust.backend import keras

layers = keras.layers
RANDOM = np.random.default_rng(0)
A = RANDOM.uniform(0.3, 0.7, (20, 2, 2)).astype("float32")
B = RANDOM.uniform(10, 90, (20, 3)).astype("float32")
IDS = RANDOM.integers(0, 4, (20, 1))
WA, WB = RANDOM.normal(size=(4, 3)), RANDOM.normal(size=(3, 3)) / 50
WA, WB = WA.astype("float32"), WB.astype("float32")
Y = np.argmax(A.reshape(20, 4) @ WA + B @ WB, axis=1)
LINF = tfr.threats.Linf(0.05)
WIDE = tfr.threats.Linf(5.0, 0.0, 100.0)


def two_inputs(listed=False, tokens=False):
    a, b = keras.Input((2, 2), name="a"), keras.Input((3,), name="b")
    one = layers.Dense(3, use_bias=False, name="of_a")(layers.Flatten()(a))
    other = layers.Dense(3, use_bias=False, name="of_b")(b)
    total, inputs = layers.Add()([one, other]), [a, b]
    if tokens:
        ids = keras.Input((1,), dtype="int32", name="ids")
        embedded = layers.Embedding(4, 3, name="embedding")(ids)
        total = layers.Add()([total, layers.Flatten()(embedded)])
        inputs.append(ids)
    named = {t: i for t, i in zip(["a", "b", "ids"], inputs, strict=False)}
    network = keras.Model(inputs if listed else named, total)
    network.get_layer("of_a").set_weights([WA])
    network.get_layer("of_b").set_weights([WB])
    return network


def logits(a, b):
    return a.reshape(len(a), 4) @ WA + b @ WB


@pytest.mark.parametrize("listed", [False, True])
def test_a_joined_network_answers_alike(listed):
    joined = tfr.Joined(two_inputs(listed))
    inputs = [A, B] if listed else {"a": A, "b": B}
    x = joined.join(inputs)
    assert x.shape == (20, 7) and joined.input_shape == (None, 7)
    np.testing.assert_allclose(joined(x), logits(A, B), atol=1e-5)
    for name, part in joined.split(x).items():
        np.testing.assert_array_equal(part, {"a": A, "b": B}[name])


def test_tokens_beside_what_is_attacked_stay_what_they_are():
    network = two_inputs(tokens=True)
    joined = tfr.Joined(network)
    inputs = {"a": A, "b": B, "ids": IDS}
    x = joined.join(inputs)
    np.testing.assert_allclose(joined(x), network(inputs), atol=1e-6)
    threat = joined.threat({"a": LINF})
    found = joined.split(tfr.attacks.FGSM(threat).perturb(joined, x, Y))
    np.testing.assert_array_equal(found["ids"], IDS)
    np.testing.assert_array_equal(found["b"], B)
    assert np.any(found["a"] != A)
    with pytest.raises(ValueError, match="whole numbers up to"):
        joined.join({**inputs, "ids": IDS + 2**25})


def least(moves):
    """The margins in the worst case, by hand."""
    rows = np.concatenate([WA, WB]).T
    x = np.concatenate([A.reshape(20, 4), B], axis=1)
    gaps = rows[Y][:, np.newaxis] - rows
    return np.einsum("bjf,bf->bj", gaps, x) - np.abs(gaps) @ moves


@pytest.mark.parametrize(
    "threats, moves",
    [
        ({"a": LINF}, [0.05] * 4 + [0.0] * 3),
        ({"b": WIDE}, [0.0] * 4 + [5.0] * 3),
        ({"a": LINF, "b": WIDE}, [0.05] * 4 + [5.0] * 3),
    ],
)
def test_a_threat_for_one_or_for_each(threats, moves):
    joined = tfr.Joined(two_inputs())
    threat, x = joined.threat(threats), joined.join({"a": A, "b": B})
    found = tfr.verifiers.CROWN(threat).margins(joined, x, Y)
    np.testing.assert_allclose(found, least(moves), atol=1e-4)
    attack = tfr.attacks.PGD(threat, steps=10, loss="margin")
    point = attack.perturb(joined, x, Y)
    assert np.all(threat.contains(x, point))
    moved = np.max(np.abs(point - x), axis=0)
    np.testing.assert_array_equal(moved > 0, np.array(moves) > 0)


def test_a_ball_of_one_input_is_one_of_the_row():
    joined = tfr.Joined(two_inputs())
    x = joined.join({"a": A, "b": B})
    threat = joined.threat({"a": tfr.threats.L2(0.1)})
    gaps = WA.T[Y][:, np.newaxis] - WA.T
    margins = least(np.zeros(7)) - 0.1 * np.linalg.norm(gaps, axis=2)
    found = tfr.verifiers.CROWN(threat).margins(joined, x, Y)
    np.testing.assert_allclose(found, margins, atol=1e-4)


def test_it_is_trained_saved_and_reported(tmp_path):
    joined = tfr.Joined(two_inputs())
    x, threat = (
        joined.join({"a": A, "b": B}),
        joined.threat({"a": LINF, "b": WIDE}),
    )
    step = tfr.attacks.PGD(threat, steps=1, step_size=1.0, random_start=0.0)
    model = tfr.RobustModel(joined)
    model.compile("sgd", objective=tfr.objectives.WorstCase(step))
    model.fit(x, Y, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(x), model(x), atol=1e-6)
    report = tfr.certify(model, (x, Y), tfr.verifiers.CROWN(threat), verbose=0)
    assert report["worst case"].accuracy <= report["clean"].accuracy
    assert tfr.export(model, tmp_path / "served").exists()


def two_outputs():
    x = keras.Input((7,))
    kernel = np.concatenate([WA, WB])
    network = keras.Model(
        x,
        {
            "which": layers.Dense(3, use_bias=False, name="of_which")(x),
            "much": layers.Dense(1, use_bias=False, name="of_much")(x),
        },
    )
    network.get_layer("of_which").set_weights([kernel])
    network.get_layer("of_much").set_weights([kernel[:, :1]])
    return network, kernel


X = np.concatenate([A.reshape(20, 4), B / 100], axis=1)
MUCH = RANDOM.normal(size=(20, 1)).astype("float32")


def test_one_output_is_named():
    network, kernel = two_outputs()
    for name, width in {"which": 3, "much": 1}.items():
        one = tfr.Joined(network, output=name)
        np.testing.assert_allclose(one(X), X @ kernel[:, :width], atol=1e-5)
        assert one.output_shape == (None, width)
    which = tfr.Joined(network, output="which")
    report = tfr.evaluate(
        which, (X, Y), tfr.attacks.FGSM(LINF), diagnostic_examples=0, verbose=0
    )
    right = np.argmax(X @ kernel, axis=1) == Y
    assert report["clean"].accuracy == pytest.approx(np.mean(right))


def test_a_loss_for_each_output_is_what_attacks_ascend(tmp_path):
    network, kernel = two_outputs()
    joined = tfr.Joined(network)
    loss = joined.loss_of({"which": None, "much": "mse"}, weights={"much": 0.5})
    y = joined.targets({"which": Y, "much": MUCH})

    def values(x):
        z, much = x @ kernel, x @ kernel[:, :1]
        crossed = np.log(np.sum(np.exp(z), 1)) - z[np.arange(20), Y]
        return crossed + 0.5 * np.mean((much - MUCH) ** 2, axis=1)

    z = X @ kernel
    likely = np.exp(z) / np.sum(np.exp(z), axis=1, keepdims=True)
    gradient = (likely - np.eye(3)[Y]) @ kernel.T
    gradient += (X @ kernel[:, :1] - MUCH) @ kernel[:, :1].T
    worst = np.clip(X + 0.05 * np.sign(gradient), 0, 1)
    step = tfr.attacks.PGD(LINF, steps=1, step_size=1.0, random_start=0.0)
    model = tfr.RobustModel(joined)
    model.compile(
        keras.optimizers.SGD(0.0),
        loss=loss,
        objective=tfr.objectives.WorstCase(step),
        adversaries={"pgd": step},
    )
    logs = model.fit(X, y, batch_size=20, verbose=0).history
    expected = np.mean(np.maximum(values(worst), values(X)))
    assert logs["loss"][0] == pytest.approx(expected, rel=1e-4)
    report = tfr.evaluate(model, (X, y), {"pgd": step}, verbose=0)
    found = report["clean"].losses
    np.testing.assert_allclose(found, values(X), rtol=1e-4)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    again = loaded.evaluate(X, y, verbose=0, return_dict=True)
    assert again["loss"] == pytest.approx(np.mean(values(X)), rel=1e-4)


def fitted():
    model = tfr.RobustModel(tfr.Joined(two_inputs()))
    model.compile("sgd")
    model.fit({"a": A, "b": B}, Y)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: tfr.RobustModel(two_inputs()), ValueError, "2 inputs"),
        (lambda: tfr.RobustModel(two_outputs()[0]), ValueError, "2 outputs"),
        (fitted, TypeError, "`x` must be one dense array. Received: dict"),
        (
            lambda: tfr.attacks.FGSM(LINF).perturb(two_outputs()[0], X, Y),
            TypeError,
            "one tensor. Received: dict.*output=name",
        ),
        (
            lambda: tfr.bounds(two_outputs()[0], X, 0.1),
            TypeError,
            "one tensor. Received: dict.*output=name",
        ),
        (
            lambda: tfr.Joined(two_outputs()[0], output="other"),
            ValueError,
            "`output` must be one of",
        ),
        (
            lambda: tfr.Joined(
                keras.Sequential([keras.Input((2,)), layers.Dense(2)])
            ),
            ValueError,
            "which a Sequential hasn't",
        ),
        (
            lambda: tfr.Joined(two_inputs()).threat({"c": LINF}),
            ValueError,
            "name some of the inputs",
        ),
        (
            lambda: tfr.Joined(two_inputs()).threat(
                {"a": tfr.threats.L2(0.1), "b": WIDE}
            ),
            ValueError,
            r"threats\['a'\]` must be boxes",
        ),
        (
            lambda: tfr.Joined(two_inputs()).threat({"a": 0.1}),
            TypeError,
            r"`threats\['a'\]` must be a Threat",
        ),
        (
            lambda: tfr.Joined(two_inputs()).threat(
                {"a": tfr.threats.Linf(np.full((1, 99), 0.1))}
            ),
            ValueError,
            r"`threats\['a'\]` must hold numbers, or arrays that fit its input",
        ),
        (
            lambda: tfr.Joined(two_outputs()[0]).loss_of(
                {"which": "mse", "much": "mse"}, {"other": 2.0}
            ),
            ValueError,
            "`weights` must name some of the outputs",
        ),
        (
            lambda: tfr.Joined(two_inputs()).join({"a": A}),
            ValueError,
            "`inputs` must be those named",
        ),
    ],
)
def test_what_is_several_is_refused_in_one_sentence(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_one_input_keeps_its_name_and_type():
    ids = keras.Input((4,), dtype="int32", name="ids")
    embedded = layers.Flatten()(layers.Embedding(5, 2)(ids))
    network = keras.Model(
        {"ids": ids},
        {"a": layers.Dense(2)(embedded), "b": layers.Dense(1)(embedded)},
    )
    tokens = RANDOM.integers(0, 5, (6, 4))
    one = tfr.Joined(network, output="a")
    expected = network({"ids": tokens})["a"]
    np.testing.assert_allclose(one(tokens), expected, atol=1e-6)


def test_inputs_that_have_names_are_not_taken_in_a_list():
    with pytest.raises(ValueError, match="`inputs` must be those named"):
        tfr.Joined(two_inputs()).join([B, A])
