"""Rules of the user: what is registered, and what is tried to break."""

import pytest
import tensorflow as tf

from tfrobust import verifiers
from tfrobust.bounds import record
from tfrobust.verifiers import check_rule, register_rule

pytestmark = pytest.mark.one_keras


def ends(node, lower, upper, alpha=None):
    flat = tf.zeros_like(lower)
    return verifiers.Relaxation(flat, node.run(lower), flat, node.run(upper))


RULE = verifiers.Activation(ends, curved=True)


class Half:
    """What has an interval, but no lines."""

    linear = False

    def interval(self, node, intervals):
        return intervals[0]


@pytest.mark.parametrize(
    ("rule", "options", "message"),
    [
        (3, {}, "`rule` must be an Activation or a Linear.*rule=3, .* linear"),
        (None, {}, "`rule` must be an Activation or a Linear"),
        (verifiers.Activation, {}, "`rule` must be an Activation.*, made"),
        (ends, {}, "`rule` must be an Activation or a Linear"),
        (Half(), {}, "lacks optimizable, pull, stable, relaxation"),
        (RULE, {"apart": True}, "`apart` must be a function of a node"),
        (RULE, {"alpha": 0.2}, r"`alpha` must be a container.*\(0.2,\)"),
        (RULE, {"padding": "SAME"}, "`padding` must be a container"),
    ],
)
def test_what_is_no_rule_is_not_registered(rule, options, message):
    with pytest.raises(TypeError, match=message):
        register_rule("Atanh", rule, **options)
    assert "Atanh" not in record.RULES


def test_a_name_that_is_no_text_is_no_op():
    with pytest.raises(ValueError, match="`op_type` must be the type of an op"):
        register_rule(3, RULE)


def test_the_rules_of_the_table_are_all_of_the_kind():
    assert len(record.RULES) > 50
    for found in record.RULES.values():
        record._check(found.rule, found.apart, found.attributes)


@pytest.mark.parametrize("shape", [3, (), (0,), (2.0,), (None, 3), "3"])
def test_a_shape_of_no_input_is_refused(shape):
    with pytest.raises(ValueError, match="`shape` must be the shape of one"):
        check_rule(tf.nn.relu, shape)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"low": 4.0, "high": -4.0}, "`low` must be below high=-4"),
        ({"low": 1.0, "high": 1.0}, "`low` must be below high=1"),
        ({"high": float("inf")}, "`high` must be finite"),
        ({"samples": 0}, "`samples` must be at least 1 and whole"),
        ({"seed": -1}, "`seed` must be at least 0 and whole"),
    ],
)
def test_numbers_that_make_no_boxes_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        check_rule(tf.nn.relu, (3,), **options)


def test_a_function_of_several_answers_is_refused():
    with pytest.raises(TypeError, match="one tensor, .*Received: tuple"):
        check_rule(lambda x: (x, x), (3,), samples=4)


@pytest.mark.parametrize("function", [tf.reduce_sum, tf.transpose])
def test_a_function_without_a_row_for_each_example_is_refused(function):
    message = "`function` must return one row for each of 4 examples"
    with pytest.raises(ValueError, match=message):
        check_rule(function, (3,), samples=4)


def test_one_box_is_enough():
    check_rule(tf.nn.relu, [3], samples=1)
