"""A linear network, its closed-form worst points, and NumPy formulas."""

import numpy as np
import pytest
import tensorflow as tf

from tfrobust.attacks import FGSM
from tfrobust.backend import keras
from tfrobust.threats import Linf


class Hand:
    """Everything about `x @ kernel + bias` that can be done by hand."""

    x = np.array([[0.2, 0.7, 0.5], [0.6, 0.4, 0.3], [0.5, 0.5, 0.8]])
    y = np.array([0, 2, 1])
    kernel = np.array([[1.5, -0.5, 0.2], [-1.0, 0.8, 0.4], [0.3, 0.1, -2.0]])
    bias = np.array([0.1, -0.2, 0.3])
    attack = FGSM(Linf(0.1))

    def __init__(self):
        layer = keras.layers.Dense(3)
        self.network = keras.Sequential([keras.Input((3,)), layer])
        self.network.set_weights([self.kernel, self.bias])

    def logits(self, x, kernel=None):
        return x @ (self.kernel if kernel is None else kernel) + self.bias

    def softmax(self, logits):
        exponentials = np.exp(logits)
        return exponentials / exponentials.sum(axis=1, keepdims=True)

    def error(self, logits):
        """The gradient of the cross entropy by the logits."""
        return self.softmax(logits) - np.eye(3)[self.y]

    def cross_entropy(self, logits):
        return -np.log(self.softmax(logits)[np.arange(3), self.y])

    def kl(self, clean, worst):
        p, q = self.softmax(clean), self.softmax(worst)
        return (p * np.log(p / q)).sum(axis=1)

    def worst(self):
        """The points of `attack`: far from 0 and 1, so nothing is clipped."""
        gradient = self.error(self.logits(self.x)) @ self.kernel.T
        return self.x + 0.1 * np.sign(gradient)


class Passes(keras.layers.Layer):
    """Passes its input on, and counts."""

    def __init__(self):
        super().__init__()
        self.forward = self.backward = 0

    def call(self, x):
        @tf.custom_gradient
        def counted(x):
            self.forward += 1

            def gradient(upstream):
                self.backward += 1
                return upstream

            return tf.identity(x), gradient

        return counted(x)


@pytest.fixture
def hand():
    return Hand()
