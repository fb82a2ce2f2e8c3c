"""Random layers move an image once, before the attack."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust import augmentation
from tfrobust.backend import keras

layers = keras.layers
EPSILON = 0.1
# Of a linear network, the exact worst case.
STEP = tfr.attacks.FGSM(tfr.threats.Linf(EPSILON))
RANDOM = np.random.default_rng(0)
X = RANDOM.uniform(0.2, 0.8, (20, 4, 2, 1)).astype("float32")
Y = RANDOM.integers(0, 3, 20)
KERNEL = 3 * RANDOM.normal(size=(8, 3)).astype("float32")


def shift():
    """Two rows down, always; a mirror image would be a coin's choice."""
    return layers.RandomTranslation(
        (0.5, 0.5), 0.0, "constant", "nearest", fill_value=0.5
    )


def rest():
    return [layers.Flatten(), layers.Dense(3)]


def sequential():
    return keras.Sequential([keras.Input((4, 2, 1)), shift(), *rest()])


def without_input():
    return keras.Sequential([shift(), *rest()])


def nested():
    moves = keras.Sequential([keras.Input((4, 2, 1)), shift()])
    return keras.Sequential([keras.Input((4, 2, 1)), moves, *rest()])


def functional():
    inputs = keras.Input((4, 2, 1))
    moved = keras.Sequential([shift(), layers.RandomZoom(0.0)])(inputs)
    flat, dense = rest()
    return keras.Model(inputs, dense(flat(moved)))


def loaded(tmp_path):
    path = str(tmp_path / "network.keras")
    sequential().save(path)
    return keras.models.load_model(path)


def worst_loss(x, valid=False):
    """The mean loss at the exact worst points of a linear network."""

    def probabilities(x):
        logits = x @ KERNEL
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return exponentials / exponentials.sum(axis=1, keepdims=True)

    flat = x.reshape(20, 8)
    slope = (probabilities(flat) - np.eye(3)[Y]) @ KERNEL.T
    points = flat + EPSILON * np.sign(slope)
    worst = probabilities(np.clip(points, 0, 1) if valid else points)
    return -np.mean(np.log(worst[np.arange(20), Y]))


def moved():
    x = np.full_like(X, 0.5)
    x[:, 2:] = X[:, :2]
    return x


def compiled(network, objective=None):
    model = tfr.RobustModel(network)
    objective = objective or tfr.objectives.WorstCase(STEP)
    model.compile(keras.optimizers.SGD(0.0), objective=objective)
    return model


@pytest.mark.parametrize(
    "build", [sequential, without_input, nested, functional, loaded]
)
def test_an_image_is_moved_first_and_then_attacked(build, tmp_path):
    network = build(tmp_path) if build is loaded else build()
    model = compiled(network)
    network.build((None, 4, 2, 1))
    network.set_weights([*network.get_weights()[:-2], KERNEL, np.zeros(3)])
    logs = model.fit(X, Y, batch_size=20, verbose=0).history
    assert logs["loss"][0] == pytest.approx(worst_loss(moved()), rel=1e-4)
    # What is evaluated isn't moved.
    np.testing.assert_allclose(
        model.predict(X, verbose=0), X.reshape(20, 8) @ KERNEL, rtol=1e-4
    )


def test_a_saved_model_goes_on_moving_first(tmp_path):
    model = compiled(sequential())
    model.network.layers[-1].set_weights([KERNEL, np.zeros(3)])
    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    logs = copy.fit(X, Y, batch_size=20, verbose=0).history
    assert logs["loss"][0] == pytest.approx(worst_loss(moved()), rel=1e-4)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.flip, self.flat, self.head = layers.RandomFlip(), *rest()

    def call(self, inputs, training=False):
        moved = self.flip(inputs, training=training)
        return self.head(self.flat(moved))


def after(*first):
    return keras.Sequential([keras.Input((4, 2, 1)), *first, *rest()])


def around():
    inputs = keras.Input((4, 2, 1))
    both = layers.Concatenate()([layers.RandomFlip()(inputs), inputs])
    flat, dense = rest()
    return keras.Model(inputs, dense(flat(both)))


def twice():
    inputs, flip = keras.Input((4, 2, 1)), layers.RandomFlip()
    flat, dense = rest()
    return keras.Model(
        inputs, dense(flat(flip(layers.Rescaling(0.5)(flip(inputs)))))
    )


def test_images_are_cropped_and_shifted_before_the_attack():
    model = compiled(after(tfr.layers.CropShift(1, seed=3)))
    model.network.layers[-1].set_weights([KERNEL, np.zeros(3)])
    twin = tfr.layers.CropShift(1, seed=3)
    expected = []
    for _ in range(2):
        x = twin(X, training=True).numpy()
        assert np.any(x != X)
        expected.append(pytest.approx(worst_loss(x, valid=True), rel=1e-4))
    logs = model.fit(X, Y, batch_size=20, epochs=2, verbose=0).history
    assert logs["loss"] == expected


INSIDE = {
    "cropped and shifted": lambda: after(
        layers.Rescaling(2.0), tfr.layers.CropShift(1)
    ),
    "subclassed": Subclassed,
    "rescaled": lambda: after(layers.Rescaling(2.0), layers.RandomFlip()),
    "cropped": lambda: after(layers.RandomCrop(2, 2)),
    "around": around,
    "twice": twice,
}


@pytest.mark.parametrize("case", INSIDE)
def test_a_layer_that_moves_the_image_inside_is_refused(case):
    sentence = "must not move images inside, as '(random|crop)_.*dataset.map"
    with pytest.raises(ValueError, match=sentence):
        compiled(INSIDE[case]()).fit(X, Y, verbose=0)


def test_it_may_stay_where_nothing_is_attacked():
    model = compiled(INSIDE["rescaled"](), tfr.objectives.Clean())
    assert np.isfinite(model.fit(X, Y, verbose=0).history["loss"][0])


def test_noise_that_moves_nothing_stays_inside():
    network = after(layers.GaussianNoise(0.1), layers.Dropout(0.5))
    front, whole = augmentation.split(network)
    assert front == [] and whole is network


def test_moving_images_in_a_dataset_is_the_same():
    layer = shift()
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(20)
    data = data.map(lambda x, y: (layer(x, training=True), y))
    model = compiled(after())
    model.network.layers[-1].set_weights([KERNEL, np.zeros(3)])
    logs = model.fit(data, verbose=0).history
    assert logs["loss"][0] == pytest.approx(worst_loss(moved()), rel=1e-4)
