import numpy as np
import pytest
import tensorflow as tf

from tfrobust import losses
from tfrobust.attacks import FGSM, Ensemble, Restart
from tfrobust.threats import Linf

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(4)
W1 = RNG.normal(size=(4, 8)).astype(np.float32) * 9
W2 = RNG.normal(size=(8, 3)).astype(np.float32)
X = RNG.uniform(0.1, 0.9, (20, 4)).astype(np.float32)


def curved(x, training=False):
    return tf.sin(x @ W1) @ W2


Y = np.argmax(curved(X), axis=1)
ONCE = FGSM(Linf(0.06), step_size=0.5, random_start=1.0)


def margins(attack, x=X, y=Y, model=curved):
    return losses.margin(y, curved(attack.perturb(model, x, y))).numpy()


def test_more_runs_are_never_weaker_and_the_first_is_the_attack_itself():
    clean = losses.margin(Y, curved(X)).numpy()
    once = np.maximum(margins(ONCE), clean)
    single, several = (margins(Restart(ONCE, n)) for n in (1, 8))
    np.testing.assert_allclose(single, once, atol=1e-6)
    fooled = single > 0
    np.testing.assert_array_equal(several[fooled], single[fooled])
    assert np.all(several >= single)
    assert np.sum(several > 0) > np.sum(fooled) > 0


def test_what_is_finished_is_not_run_again():
    sizes = []

    def spy(x, training=False):
        sizes.append(len(x))
        return curved(x)

    left = np.sum(margins(Restart(ONCE, 8), model=spy) <= 0)
    assert sizes == sorted(sizes, reverse=True)
    assert 0 < left <= sizes[-1] < 20


def test_it_is_traced_once_and_ignores_batch_mates():
    traces = []
    # Of an ensemble too: the number of the run reaches all parts.
    attack = Restart(Ensemble([ONCE, ONCE.replace(seed=1)]), restarts=3)

    @tf.function(
        autograph=False,
        input_signature=[
            tf.TensorSpec([None, 4]),
            tf.TensorSpec([None], tf.int64),
            tf.TensorSpec([]),
        ],
    )
    def perturb(x, y, epsilon):
        traces.append(epsilon)
        threat = Linf(0.1).replace(epsilon=epsilon)
        return attack.against(threat).perturb(curved, x, y)

    together = perturb(X, Y, 0.06)
    eager = attack.perturb(curved, X, Y)
    np.testing.assert_allclose(together, eager, atol=1e-5)
    for rows in (slice(0, 1), slice(1, 20)):
        alone = perturb(X[rows], Y[rows], 0.06)
        np.testing.assert_allclose(alone, together[rows], atol=1e-5)
    np.testing.assert_array_equal(perturb(X, Y, 0.0), X)
    assert len(traces) == 1
    single = losses.margin(Y, curved(attack.attack.perturb(curved, X, Y)))
    assert np.sum(margins(attack) > 0) > np.sum(single > 0)


def test_at_least_one_run_is_asked_for():
    with pytest.raises(ValueError, match="`restarts` must be at least 1"):
        Restart(ONCE, 0)
