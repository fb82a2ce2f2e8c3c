"""Sparse binary kernels: fixed random signs under a trained mask."""

import math
import numbers
import random
from typing import Any

import tensorflow as tf

from tfrobust import checks, hoisting, streams
from tfrobust.backend import keras
from tfrobust.layers.hidden_kernel import HiddenKernel, regularizer
from tfrobust.layers.top_k import kept_count, top_k_mask

INITIALIZERS = ("binary", "signed_constant", "uniform")


class SparseBinary(HiddenKernel):
    """Fixed random signs, of which the best scored are kept; abstract.

    The kernel is `signs * mask`, where the mask keeps the
    `n - trunc((1 - density) n)` weights whose scores have the largest
    magnitudes. Only the scores are trained. The gradient passes the mask as
    if it were the magnitudes, so every score has one, kept or not:
    `dL/dscores = sign(scores) * signs * dL/dkernel`.

    The mask is never stored. It is worked out from the scores at every call,
    so that it cannot go stale after an optimizer's step, averaging, loading
    or an assignment; and once under `hoisting.fixed_weights`, so that a step
    of adversarial training pays for it no more often with PGD-50 than with
    FGSM. A trained layer is deployed as `plain()`, which has no scores.

    Args:
        density: Fraction of the weights that is kept, in (0, 1]. A function
            that was traced keeps the density of that time.
        score_scale: The initial scores are U(-score_scale, score_scale).
        initializer: Of the fixed weights: `"binary"`, -1 and 1;
            `"signed_constant"`, these times `sqrt(2 / (fan_in * density))`;
            or `"uniform"`, U(-1, 1).
        score_regularizer: Keras regularizer of the scores;
            `keras.regularizers.L2(d / 2)` is the weight decay d of SGD in
            PyTorch.
        seed: Integer that keys signs and scores; drawn from Python's
            generator, which `keras.utils.set_random_seed` seeds, if None.
        **kwargs: See `HiddenKernel`.

    Raises:
        ValueError: If an argument is out of its range.

    Reference: Liu et al., 2022, arXiv 2202.01341; the scores: Ramanujan et
    al., 2020, arXiv 1911.13299.
    """

    def __init__(
        self,
        density: float = 0.01,
        score_scale: float = 0.01,
        initializer: str = "binary",
        score_regularizer: Any = None,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        checks.positive(density, "density", high=1)
        checks.positive(score_scale, "score_scale")
        checks.argument(
            initializer in INITIALIZERS,
            "initializer",
            f"be one of {INITIALIZERS}",
            repr(initializer),
        )
        self.density = density
        self.score_scale = score_scale
        self.initializer = initializer
        self.score_regularizer = regularizer(
            score_regularizer, "score_regularizer"
        )
        self.seed = random.randrange(2**31) if seed is None else seed
        checks.kind(self.seed, numbers.Integral, "seed", "0")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "density": self.density,
            "score_scale": self.score_scale,
            "initializer": self.initializer,
            "score_regularizer": keras.regularizers.serialize(
                self.score_regularizer
            ),
            "seed": self.seed,
        }

    def _add_kernel(self, shape, fan_in):
        def signs(shape, dtype=None):
            weights = self._uniform(shape, stream=0)
            if self.initializer == "uniform":
                return weights
            ones = tf.where(weights < 0, -1.0, 1.0)
            if self.initializer == "binary":
                return ones
            return ones * math.sqrt(2 / (fan_in * self.density))

        def scores(shape, dtype=None):
            return self.score_scale * self._uniform(shape, stream=1)

        self.signs = self._add_float32(
            "signs", shape, initializer=signs, trainable=False
        )
        self.scores = self._add_float32(
            "scores",
            shape,
            initializer=scores,
            regularizer=self.score_regularizer,
        )

    def _effective_kernel(self, training):
        kernel = hoisting.once(self, self._masked)
        return _straight_through(
            tf.convert_to_tensor(self.scores),
            tf.convert_to_tensor(self.signs),
            kernel,
        )

    def _masked(self):
        scores = tf.convert_to_tensor(self.scores)
        kept = kept_count(scores.shape.num_elements(), self.density)
        return self.signs * top_k_mask(scores, kept)

    def _uniform(self, shape, stream):
        """Draws from U(-1, 1); the same in both Kerases."""
        row = tf.zeros([1, math.prod(shape)])
        draws = 2 * streams.uniform(row, self.seed, stream) - 1
        return tf.reshape(draws, shape)


@tf.custom_gradient
def _straight_through(scores, signs, kernel):
    """The kernel, whose gradient reaches the scores past the mask."""

    def gradient(upstream):
        return tf.sign(scores) * signs * upstream, None, None

    return tf.identity(kernel), gradient
