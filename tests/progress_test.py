"""A bar says what it counts, and says nothing if it is to be silent."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.progress import Progress

pytestmark = pytest.mark.keras_free


def test_a_bar_has_a_name(capsys):
    bar = Progress("cnn: clean, pgd", 2)
    bar.step()
    bar.step()
    name, shown = capsys.readouterr().out.split("\n", 1)
    assert name == "cnn: clean, pgd"
    assert "2/2" in shown


def test_a_silent_bar_says_nothing(capsys):
    Progress("clean", 2, verbose=0).step()
    assert capsys.readouterr().out == ""


def test_an_evaluation_names_the_model_and_its_adversaries(capsys):
    def model(x, training=False):
        return tf.stack([x[:, 0], 1 - x[:, 0]], axis=1)

    x = np.linspace(0.1, 0.9, 12, dtype=np.float32)[:, np.newaxis]
    y = (x[:, 0] < 0.5).astype(int)
    pgd = tfr.attacks.PGD(tfr.threats.Linf(0.1), steps=2)
    tfr.evaluate(model, (x, y), {"two steps": pgd}, name="line")
    assert capsys.readouterr().out.startswith("line: clean, two steps\n")
