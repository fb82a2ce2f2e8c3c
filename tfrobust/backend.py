"""The one file that knows two Kerases.

`keras` is Keras 3 on TensorFlow, or tf_keras when the environment variable
`TF_USE_LEGACY_KERAS` is `1` at import time. Everything else in tfrobust
imports it from here and uses the subset that both share.
"""

import functools
import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf

LEGACY = os.environ.get("TF_USE_LEGACY_KERAS", "").lower() in ("1", "true")

if LEGACY:
    import tf_keras as keras
else:
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ImportError(
            "tfrobust needs Keras on TensorFlow. Received: the "
            f"{keras.backend.backend()!r} backend. Set "
            "KERAS_BACKEND=tensorflow before Python starts."
        )

NAME = "tf_keras" if LEGACY else "keras"

# Argument of `add_weight` under which mixed precision leaves a weight float32.
AS_STORED = {"experimental_autocast" if LEGACY else "autocast": False}
register = keras.saving.register_keras_serializable(package="tfrobust")
Schedule = keras.optimizers.schedules.LearningRateSchedule


def as_in_keras(method: Callable) -> Callable:
    """Shows the arguments of the method of `keras.Model` that this calls."""
    original = getattr(keras.Model, method.__name__)
    return functools.wraps(original, assigned=(), updated=())(method)


def is_foreign_model(candidate: Any) -> bool:
    """Whether `candidate` is a model of the Keras that is not in use."""
    names = {base.__module__.split(".")[0] for base in type(candidate).__mro__}
    return ("keras" if LEGACY else "tf_keras") in names


def check_network(network: Any, probabilities: bool = False) -> None:
    """Refuses what isn't a model of logits of the Keras in use.

    Args:
        network: The candidate.
        probabilities: Whether it may end in a softmax.
    """
    if is_foreign_model(network):
        other = "keras" if LEGACY else "tf_keras"
        raise TypeError(
            f"`network` must be a model of {NAME}, the Keras that tfrobust "
            f"runs on here. Received a model of {other}. Set "
            f"TF_USE_LEGACY_KERAS={int(not LEGACY)} before Python starts, or "
            f"build the network with {NAME}."
        )
    if not isinstance(network, keras.Model):
        raise TypeError(
            "`network` must be a Keras model that maps inputs to logits. "
            f"Received: {network!r}"
        )
    if not probabilities:
        refuse_head(network, "softmax")


def refuse_head(network: Any, head: str) -> None:
    """Refuses a model that ends in a softmax or a sigmoid.

    Args:
        network: A model of the Keras in use.
        head: Which of both, by its name.
    """
    for last in network.layers[-1:]:
        activation = getattr(last, "activation", None)
        if activation is getattr(keras.activations, head) or (
            head == "softmax" and isinstance(last, keras.layers.Softmax)
        ):
            raise ValueError(
                "`network` must return logits. Received a network whose last "
                f"layer, {last.name!r}, applies a {head}. Remove it, or pass "
                "tfr.logits_of(network)."
            )


def refuse_several(network: Any) -> None:
    """Refuses a model of several inputs, or outputs."""
    for name in ("inputs", "outputs"):
        found = getattr(network, name, None) or []
        if len(found) > 1:
            raise ValueError(
                f"`network` must have one input and one output. Received "
                f"{len(found)} {name}. Make one of them: pass "
                "tfr.Joined(network), or tfr.Joined(network, output=name)."
            )


def check_strategy(strategy: tf.distribute.Strategy) -> None:
    """Refuses several workers, with which Keras 3 cannot fit."""
    cluster = getattr(strategy, "cluster_resolver", None)
    if not LEGACY and cluster and cluster.cluster_spec().as_dict():
        raise NotImplementedError(
            "Keras 3 cannot fit in a strategy of several workers (Keras issue "
            f"20585). Received: {strategy!r}. Set TF_USE_LEGACY_KERAS=1 before "
            "Python starts, or use tf.distribute.MirroredStrategy."
        )


def averages(model: Any) -> list:
    """The optimizer's averages (`use_ema`) of the trainable variables."""
    optimizer = getattr(model, "optimizer", None)
    # A loss scale optimizer of Keras 3 has a `use_ema` of its own: False.
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if not getattr(inner, "use_ema", False):
        return []
    return getattr(inner, "_model_variables_moving_average", [])


def has_averages(model: Any) -> bool:
    """Whether the optimizer has averaged weights by now."""
    if not averages(model):
        return False
    # In a strategy, the variable of several replicas has no `int`.
    return int(tf.convert_to_tensor(model.optimizer.iterations)) > 0


def trainable(model: Any) -> list:
    """The trainable variables of a `RobustModel` whose network is built."""
    # tf_keras may not know yet that the model is built too.
    return (model if model.built else model.network).trainable_variables


def build_optimizer(model: Any) -> None:
    """Creates the optimizer's variables, if those of the network exist.

    Else Keras traces the first step twice: to create them, and to use them.
    """
    # The legacy optimizers of tf_keras know no other time than the first step.
    build = getattr(getattr(model, "optimizer", None), "build", None)
    if build and model.network.built:
        with model.distribute_strategy.scope():
            build(trainable(model))


def minimize(
    model: Any,
    loss: tf.Tensor,
    tape: tf.GradientTape,
    watched: tf.Tensor | None = None,
) -> tf.Tensor | None:
    """Takes one optimizer step of `model` on the scalar `loss`.

    Args:
        model: The compiled model.
        loss: What to descend.
        tape: What recorded it.
        watched: A tensor that the tape watched, or None.

    Returns:
        The gradient of the loss by `watched`, of the same backward pass; None
        if that is None.
    """
    optimizer, variables = model.optimizer, model.trainable_variables
    scale = 1.0
    if not LEGACY:
        scale = optimizer.scale_loss(tf.constant(1.0))
        with tape:
            loss = optimizer.scale_loss(loss)
    # Else the step counter could move before the batch has arrived, under the
    # eyes of a dataset that derives the batch from it.
    with tf.control_dependencies([loss]):
        if LEGACY and watched is None:
            optimizer.minimize(loss, variables, tape=tape)
            return None
        sources = [*variables] if watched is None else [*variables, watched]
        if LEGACY:
            pairs = optimizer.compute_gradients(loss, sources, tape)
            gradients = [gradient for gradient, _ in pairs]
        else:
            gradients = tape.gradient(loss, sources)
        of_input = None if watched is None else gradients.pop() / scale
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
    return of_input


def state(
    layer: Any, name: str, shape: tuple, dtype: str, initial: tf.Tensor
) -> Any:
    """Adds a variable to `layer` of which every replica keeps a whole copy.

    Args:
        layer: The layer that owns it.
        name: Its name.
        shape: Its shape.
        dtype: Its type, which mixed precision leaves alone.
        initial: What every entry starts with, a scalar.
    """
    replicas = "only_first_replica"
    if LEGACY:
        replicas = tf.VariableAggregation.ONLY_FIRST_REPLICA

    def initializer(shape, dtype=None, **_):
        return tf.fill(shape, tf.cast(initial, dtype))

    return layer.add_weight(
        name=name,
        shape=shape,
        dtype=dtype,
        initializer=initializer,
        trainable=False,
        aggregation=replicas,
        **AS_STORED,
    )


def raw(variable: Any) -> Any:
    """The `tf.Variable` of a weight that is used as it is stored."""
    return variable if LEGACY else variable.value


def of_all_replicas(*values: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Values of the examples of all replicas, for a `state` of each."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return values
    return tuple(context.all_gather(value, axis=0) for value in values)


def restored(
    config: dict[str, Any], custom_objects: dict | None, *names: str
) -> dict[str, Any]:
    """A configuration whose parts of these names, if any, are objects again."""
    parts = {
        name: keras.saving.deserialize_keras_object(
            config[name], custom_objects=custom_objects
        )
        for name in names
        if name in config
    }
    return {**config, **parts}
