"""Values are worked out once a scope, and never survive it."""

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import hoisting

pytestmark = pytest.mark.keras_free


class Doubler:
    """Doubles its weight, and counts how often when the graph runs."""

    def __init__(self):
        self.weight = tf.Variable(1.0)
        self.count = tf.Variable(0)

    def __call__(self):
        return hoisting.once(self, self.compute)

    def compute(self):
        with tf.control_dependencies([self.count.assign_add(1)]):
            return 2 * self.weight


def loop(owner, steps=5):
    """The sum of what `owner` gives in every step of a loop."""
    return tf.while_loop(
        lambda total: True,
        lambda total: (total + owner(),),
        (0.0,),
        maximum_iterations=steps,
    )[0]


@pytest.mark.parametrize("wrap", [tf.function, lambda f: f])
def test_a_loop_computes_once_in_the_scope_and_every_time_outside(wrap):
    owner = Doubler()

    @wrap
    def inside():
        with hoisting.fixed_weights():
            return loop(owner) + owner()

    for weight, count in ((1.0, 1), (3.0, 2)):
        owner.weight.assign(weight)
        assert inside() == 12 * weight
        assert owner.count == count
    assert wrap(lambda: loop(owner))() == 30
    assert owner.count == 7


def test_owners_do_not_share_and_scopes_do_not_either():
    first, second = Doubler(), Doubler()
    second.weight.assign(10.0)
    with hoisting.fixed_weights():
        assert (first(), second()) == (2.0, 20.0)
        first.weight.assign(2.0)
        with hoisting.fixed_weights():
            assert first() == 4.0
        assert first() == 2.0
    assert first() == 4.0


@pytest.mark.parametrize("wrap", [tf.function, lambda f: f])
def test_a_function_that_is_kept_keeps_no_value(wrap):
    owner = Doubler()
    kept = tf.function(owner)

    @wrap
    def inside():
        with hoisting.fixed_weights():
            return owner() + kept()

    assert inside() == 4.0
    owner.weight.assign(5.0)
    assert kept() == 10.0
    assert inside() == 20.0


def test_a_branch_of_a_loop_is_served_too():
    owner = Doubler()

    @tf.function
    def inside(wanted):
        def body(total):
            return (total + tf.cond(wanted, owner, lambda: 0.0),)

        with hoisting.fixed_weights():
            return tf.while_loop(
                lambda _: True, body, (0.0,), maximum_iterations=3
            )[0]

    assert inside(tf.constant(True)) == 6.0
    assert owner.count == 1


def test_no_gradient_flows_through_a_value_in_or_out_of_a_scope():
    owner = Doubler()
    with tf.GradientTape(persistent=True) as tape:
        outside = owner()
        with hoisting.fixed_weights():
            inside = owner()
    for value in (outside, inside):
        np.testing.assert_equal(tape.gradient(value, owner.weight), None)


def test_an_error_ends_the_scope():
    owner = Doubler()
    with pytest.raises(ValueError), hoisting.fixed_weights():
        owner()
        raise ValueError
    owner.weight.assign(4.0)
    assert owner() == 8.0
