"""The one file that knows two Kerases.

`keras` is Keras 3 on TensorFlow, or tf_keras when the environment variable
`TF_USE_LEGACY_KERAS` is `1` at import time. Everything else in tfrobust
imports it from here and uses the subset that both share.
"""

import os

LEGACY = os.environ.get("TF_USE_LEGACY_KERAS", "").lower() in ("1", "true")

if LEGACY:
    import tf_keras as keras
else:
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ImportError(
            "tfrobust needs Keras on TensorFlow. Received: the "
            f"{keras.backend.backend()!r} backend. Set KERAS_BACKEND=tensorflow "
            "before Python starts."
        )

NAME = "tf_keras" if LEGACY else "keras"
register = keras.saving.register_keras_serializable(package="tfrobust")
Schedule = keras.optimizers.schedules.LearningRateSchedule


def is_foreign_model(candidate):
    """Whether `candidate` is a model of the Keras that is not in use."""
    names = {base.__module__.split(".")[0] for base in type(candidate).mro()}
    return ("keras" if LEGACY else "tf_keras") in names


def minimize(model, loss, tape):
    """Takes one optimizer step of `model` on the scalar `loss`."""
    variables = model.trainable_variables
    if LEGACY:
        model.optimizer.minimize(loss, variables, tape=tape)
        return
    with tape:
        loss = model.optimizer.scale_loss(loss)
    gradients = tape.gradient(loss, variables)
    model.optimizer.apply_gradients(zip(gradients, variables, strict=True))
