"""What a scope changes of TensorFlow's options is changed back."""

import pytest
import tensorflow as tf

from tfrobust.tracing import hardly_rewritten

pytestmark = pytest.mark.keras_free

options = tf.config.optimizer.get_experimental_options


def test_a_scope_switches_rewrites_off_and_leaves_no_trace():
    before = options()
    with pytest.raises(ValueError, match="on the way out"):
        with hardly_rewritten():
            assert options()["remapping"] is False
            assert "function_optimization" not in options()
            raise ValueError("on the way out")
    assert options() == before
    with hardly_rewritten(few=False):
        assert options() == before


@pytest.mark.parametrize("choice", [False, True])
def test_what_the_user_has_chosen_stays(choice):
    tf.config.optimizer.set_experimental_options({"remapping": choice})
    try:
        with hardly_rewritten():
            assert options()["remapping"] is choice
            assert options()["layout_optimizer"] is False
        assert options()["remapping"] is choice
    finally:
        tf.config.optimizer.set_experimental_options({"remapping": None})


def test_a_graph_comes_to_the_same_in_a_scope():
    function = tf.function(lambda x: tf.nn.relu(2 * x + 1), autograph=False)
    x = tf.constant([-1.0, 0.25])
    with hardly_rewritten():
        assert function(x).numpy().tolist() == [0.0, 1.5]
    assert function(x).numpy().tolist() == [0.0, 1.5]
