"""What `fit` remembers, however instances come."""

import numpy as np
import pytest
import tensorflow as tf

from tfrobust.backend import keras
from tfrobust.instances import Indexed


def assert_seen(problem, model, epochs):
    seen = model.memory.values("labels")
    np.testing.assert_array_equal(seen, epochs * problem.in_order(problem.y))
    np.testing.assert_array_equal(model.memory.values("visits"), epochs)
    np.testing.assert_allclose(
        model.memory.values("inputs"), problem.in_order(problem.x)
    )


def test_shuffled_arrays_are_found_again(problem):
    model = problem.model()
    model.fit(problem.indexed, problem.y, batch_size=3, epochs=2, verbose=0)
    assert_seen(problem, model, 2)


def test_shuffled_datasets_are_found_again(problem):
    model = problem.model(instances=10)
    data = tf.data.Dataset.from_tensor_slices((problem.indexed, problem.y))
    model.fit(data.shuffle(10).batch(4), epochs=3, verbose=0)
    assert_seen(problem, model, 3)


def test_batches_of_a_sequence_are_found_again(problem):
    base = getattr(keras.utils, "PyDataset", keras.utils.Sequence)

    class Batches(base):
        def __len__(self):
            return 5

        def __getitem__(self, number):
            some = slice(2 * number, 2 * number + 2)
            indexed = Indexed(problem.x[some], problem.index[some])
            return indexed, problem.y[some]

    model = problem.model(instances=10)
    model.fit(Batches(), epochs=2, verbose=0)
    assert_seen(problem, model, 2)


def test_weights_several_steps_and_validation_change_nothing(problem):
    model = problem.model(steps_per_execution=2)
    model.fit(
        problem.indexed,
        problem.y,
        sample_weight=np.linspace(0, 1, 10),
        validation_data=(problem.indexed, problem.y),
        batch_size=2,
        epochs=2,
        verbose=0,
    )
    assert_seen(problem, model, 2)


def test_single_batches_are_remembered(problem):
    model = problem.model(instances=10)
    model.train_on_batch(problem.indexed, problem.y)
    assert_seen(problem, model, 1)


def test_averages_are_of_the_weights_alone(problem):
    optimizer = keras.optimizers.SGD(0.1, use_ema=True)
    model = problem.model(optimizer=optimizer)
    stopping = keras.callbacks.EarlyStopping(
        "val_loss", mode="max", patience=0, restore_best_weights=True
    )
    model.fit(
        problem.indexed,
        problem.y,
        validation_data=(problem.x, problem.y),
        epochs=3,
        verbose=0,
        callbacks=[stopping],
    )
    assert len(model.get_weights()) == 2
    np.testing.assert_array_equal(model.memory.values("visits"), 2)


def test_mixed_precision_leaves_the_memory_alone(problem):
    policy = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = problem.model()
        model.fit(problem.indexed, problem.y, batch_size=5, verbose=0)
        assert_seen(problem, model, 1)
    finally:
        keras.mixed_precision.set_global_policy(policy)


def test_what_an_objective_reports_is_logged_in_training_only(problem):
    model = problem.model()
    history = model.fit(
        problem.indexed,
        problem.y,
        validation_data=(problem.x, problem.y),
        epochs=3,
        verbose=0,
    ).history
    np.testing.assert_allclose(history["seen"], [0, 1, 2])
    assert "val_seen" not in history


def test_an_index_that_nobody_needs_is_no_harm(problem):
    model = problem.model(objective=problem.clean)
    model.fit(problem.indexed, problem.y, epochs=1, verbose=0)
    model.evaluate(problem.indexed, problem.y, verbose=0)
    answers = model.predict(problem.indexed, verbose=0)
    np.testing.assert_array_equal(answers, model.predict(problem.x, verbose=0))
    assert model.memory.size == 0


@pytest.mark.parametrize(
    ("storage", "host", "most"),
    [("float32", False, 0), ("float16", False, 5e-4), ("int8", True, 1 / 254)],
)
def test_storage_says_how_exactly_perturbations_are_kept(
    problem, storage, host, most
):
    memory = problem.memory(storage=storage, host=host)
    model = problem.model(memory=memory)
    model.fit(problem.indexed, problem.y, epochs=2, verbose=0)
    found = model.memory.values("inputs") - problem.in_order(problem.x)
    assert np.max(np.abs(found)) <= most + 1e-7
    # Sums of labels are no perturbations: they stay exact.
    labels = model.memory.values("labels")
    np.testing.assert_array_equal(labels, 2 * problem.in_order(problem.y))
