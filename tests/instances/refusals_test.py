"""What can't be remembered is said in one sentence."""

import re

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.instances import Indexed, Memory, Remembered, Slot


@pytest.mark.parametrize(
    "index",
    [np.zeros(10, int), np.arange(10) - 1, np.arange(10) + 1],
    ids=["twice", "negative", "too large"],
)
@pytest.mark.parametrize("as_dataset", [False, True])
def test_positions_are_distinct_and_in_range(problem, index, as_dataset):
    model = problem.model(instances=10)
    data = (Indexed(problem.x, index), problem.y)
    if as_dataset:
        data = (tf.data.Dataset.from_tensor_slices(data).batch(10),)
    expected = "distinct positions in the training data, from 0 to 9"
    with pytest.raises(
        (ValueError, tf.errors.InvalidArgumentError), match=expected
    ):
        model.fit(*data, verbose=0)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (np.arange(10.0), "whole numbers, one for each input"),
        (np.arange(10)[:, np.newaxis], "whole numbers, one for each input"),
        (np.arange(9), "10 inputs and 9 positions"),
    ],
)
def test_positions_are_whole_numbers_one_an_input(problem, index, message):
    with pytest.raises(ValueError, match=message):
        problem.model().fit(Indexed(problem.x, index), problem.y, verbose=0)


def test_inputs_without_index_are_refused(problem):
    data = tf.data.Dataset.from_tensor_slices((problem.x, problem.y)).batch(5)
    for inputs in [(problem.x, problem.y), (data,)]:
        with pytest.raises(ValueError, match=r"Tally remembers .*Indexed\(x"):
            problem.model(instances=10).fit(*inputs, verbose=0)


def test_lists_are_no_arrays(problem):
    indexed = Indexed(problem.x, problem.index.tolist())
    with pytest.raises(TypeError, match="arrays. Received: ndarray, list"):
        problem.model().fit(indexed, problem.y, verbose=0)


def test_a_dataset_needs_the_number_of_instances(problem):
    data = tf.data.Dataset.from_tensor_slices((problem.indexed, problem.y))
    with pytest.raises(ValueError, match=r"compile\(..., instances=n\)"):
        problem.model().fit(data.batch(5), verbose=0)


def test_an_index_is_no_label(problem):
    model = problem.model(instances=10)
    data = tf.data.Dataset.from_tensors(problem.indexed)
    with pytest.raises(ValueError, match="labels beside `Indexed`"):
        model.fit(data, verbose=0)


def test_other_data_is_refused(problem):
    model = problem.model()
    model.fit(problem.indexed, problem.y, verbose=0)
    some = Indexed(problem.x[:5], np.arange(5))
    with pytest.raises(ValueError, match="Received: 5, after 10"):
        model.fit(some, problem.y[:5], verbose=0)


def test_a_memory_over_its_limit_is_refused_with_its_size(problem):
    # 4 bytes of visits, 4 of labels and 16 of inputs for each of 10.
    model = problem.model(memory=Memory(limit=239))
    with pytest.raises(ValueError, match=r"239\. It would take 240 "):
        model.fit(problem.indexed, problem.y, verbose=0)
    model = problem.model(memory=Memory(limit=240))
    model.fit(problem.indexed, problem.y, verbose=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"storage": "float64"}, "`storage` must be one of float32"),
        ({"limit": 0}, "`limit` must be at least 1"),
    ],
)
def test_a_memory_checks_its_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Memory(**arguments)


def test_a_model_checks_what_it_gets(problem):
    with pytest.raises(TypeError, match="`memory` must be a Memory"):
        problem.model(memory=3)
    with pytest.raises(ValueError, match="`instances` must be at least 1"):
        problem.model(instances=0)


def test_rows_must_be_of_the_slots(problem):
    memory = Memory()
    memory.make(3, {"a": Slot((2,))})
    with pytest.raises(ValueError, match="must name slots .* 'b'"):
        memory.write(tf.constant([0]), {"b": tf.zeros([1])})
    with pytest.raises(ValueError, match=r"must have shape \[batch, \*\(2,\)"):
        memory.write(tf.constant([0]), {"a": tf.zeros([1, 3])})
    with pytest.raises(ValueError, match="must keep its shape"):
        memory.make(3, {"a": Slot((3,))})
    with pytest.raises(ValueError, match="holds visits, a"):
        memory.values("b")


def test_what_is_remembered_must_be_a_slot(problem):
    threat = tfr.threats.Linf(Remembered("epsilon"))
    objective = tfr.objectives.WorstCase(tfr.attacks.PGD(threat, steps=1))
    message = re.escape("Remembered(slot='epsilon') must name a slot")
    with pytest.raises(ValueError, match=message):
        problem.model(objective=objective).fit(problem.x, problem.y, verbose=0)
    with pytest.raises(TypeError, match="must be the name"):
        Remembered(3)
    with pytest.raises(TypeError, match="none at a step"):
        Remembered("epsilon")(0)


def test_an_evaluated_adversary_is_of_one_strength(problem):
    threat = tfr.threats.Linf(Remembered("epsilon"))
    with pytest.raises(ValueError, match="one fixed strength"):
        problem.model(adversaries=tfr.attacks.PGD(threat))
