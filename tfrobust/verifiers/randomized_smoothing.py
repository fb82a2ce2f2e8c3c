"""Randomized smoothing."""

import math
from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust import checks
from tfrobust.averaging import network_of
from tfrobust.backend import register
from tfrobust.configurable import Configurable
from tfrobust.progress import Progress
from tfrobust.types import Model, TensorLike
from tfrobust.verifiers.binomial import decided
from tfrobust.verifiers.smoothed import ABSTAINED, Smoothed
from tfrobust.verifiers.votes import EXAMPLES, SEEDS, voting

# The streams of draws: those that choose a class, count it, or predict.
_CHOOSE, _COUNT, _PREDICT = range(3)


@register
class RandomizedSmoothing(Configurable):
    """Certificates under l2 for a network of any kind and size, by chance.

    They are of another model, the smoothed one, which answers the class that
    the network answers most often under Gaussian noise. The first draws choose
    a class, fresh ones count it; if even the lower end of the exact interval
    of its probability p is above one half, the answer is the same within
    `sigma * quantile(p)`. Each certificate is wrong with probability `alpha`
    at most, over the draws. So this is no `Verifier`, whose certificates are
    proofs about the network itself: `tfr.certify` takes it for none.

    Noise isn't clipped: networks must take inputs outside of the valid range,
    and be trained on noise (`objectives.Noisy`).

    Args:
        sigma: Standard deviation of the noise, in the units of the inputs.
        n0: Number of draws that choose the class.
        n: Number of draws that count. No radius is larger than
            `sigma * quantile(alpha ** (1 / n))`: 3.81 sigma by default.
        alpha: Probability that a certificate is wrong, in (0, 1).
        batch_size: Number of draws at a time; others give other draws.
        seed: Integer that keys the noise.

    Raises:
        TypeError: If an argument isn't of its kind.
        ValueError: If it is out of its range.

    Example:
        ```
        smoothing = tfr.verifiers.RandomizedSmoothing(0.25, n=10_000)
        found = smoothing.decide(model, x_test[:100], y_test[:100])
        print(found.accuracy(0.25))
        ```

    Reference: Cohen et al., 2019, arXiv 1902.02918, theorem 1 and section 3.2.
    """

    def __init__(
        self,
        sigma: float,
        n0: int = 100,
        n: int = 100_000,
        alpha: float = 0.001,
        batch_size: int = 1000,
        seed: int = 0,
    ):
        checks.positive(sigma, "sigma")
        checks.number(alpha, "alpha", low=0.0, high=1.0)
        inside = 0 < alpha < 1
        checks.argument(inside, "alpha", "be between 0 and 1", alpha)
        for name, value in {"n0": n0, "n": n, "batch_size": batch_size}.items():
            checks.count(value, name)
        fits = isinstance(seed, int) and 0 <= seed < SEEDS
        checks.argument(fits, "seed", f"be an integer from 0 to {SEEDS}", seed)
        needed = math.floor(math.log(alpha) / math.log(0.5)) + 1
        expected = f"be at least {needed}: fewer draws show no majority"
        checks.argument(n >= needed, "n", expected, n)
        self.sigma, self.n0, self.n, self.alpha = sigma, n0, n, alpha
        self.batch_size, self.seed = batch_size, seed

    def decide(
        self,
        model: Model,
        x: TensorLike,
        y: TensorLike,
        index: TensorLike | None = None,
        before: Smoothed | None = None,
        verbose: int = 1,
    ) -> Smoothed:
        """Certifies examples, with probability `1 - alpha` each.

        Args:
            model: A `RobustModel`, or any callable `model(x, training=False)
                -> logits`.
            x: Inputs, shape `[n, ...]`.
            y: Integer labels, shape `[n]`.
            index: Number of each example in its dataset, which keys its noise,
                shape `[n]`; None counts from 0.
            before: What this returned for the same examples and fewer draws,
                which are counted on. Looking at the counts again costs
                certainty: see `Smoothed.alpha`.
            verbose: 1 for a progress bar, 0 for silence.

        Returns:
            A `Smoothed`.

        Raises:
            ValueError: If an argument isn't as expected, the network doesn't
                answer with two logits or more, a label is none of its classes,
                or `before` is of other examples, another sigma or as many
                draws.
        """
        x, y, index = _checked(x, y, index)
        if before is not None:
            self._check(before, y, index)
        begin = 0 if before is None else before.draws
        chosen, counts = [], []
        bar = Progress(f"smoothed, sigma {self.sigma:g}", len(x), verbose)
        with network_of(model) as network:
            votes = self._votes(network, x.shape[1:])
            classes = len(votes(x[0], index[0], _CHOOSE, 0, 1))
            y = _labels(y, classes)
            for k, number in enumerate(index):
                if before is None:
                    found = np.argmax(votes(x[k], number, _CHOOSE, 0, self.n0))
                else:
                    found = before.chosen[k]
                new = votes(x[k], number, _COUNT, begin, self.n)[found]
                chosen.append(found)
                counts.append(new if before is None else before.counts[k] + new)
                bar.step()
        return Smoothed.of(
            y=y,
            index=index,
            chosen=np.array(chosen, np.int32),
            counts=np.array(counts, np.int64),
            draws=self.n,
            looks=1 if before is None else before.looks + 1,
            first=self.alpha,
            sigma=self.sigma,
        )

    def predict(
        self, model: Model, x: TensorLike, index: TensorLike | None = None
    ) -> np.ndarray:
        """What the smoothed model answers; -1 where it abstains.

        Each answer is the likeliest class with probability `1 - alpha`, by the
        binomial test of the counts of two among `n` draws.

        Args:
            model: As in `decide`.
            x: Inputs, shape `[n, ...]`.
            index: As in `decide`.

        Returns:
            Classes, int32 `[n]`.

        Raises:
            ValueError: If an argument isn't as expected, or the network doesn't
                answer with two logits or more.
        """
        x = np.asarray(x, np.float32)
        x, _, index = _checked(x, np.zeros(len(x), np.int32), index)
        with network_of(model) as network:
            votes = self._votes(network, x.shape[1:])
            counts = np.stack(
                [
                    votes(one, number, _PREDICT, 0, self.n)
                    for one, number in zip(x, index, strict=True)
                ]
            )
        order = np.argsort(-counts, axis=1, kind="stable")[:, :2]
        first, second = np.take_along_axis(counts, order, axis=1).T
        sure = decided(first, second, self.alpha)
        return np.where(sure, order[:, 0], ABSTAINED).astype(np.int32)

    def _votes(self, network, shape):
        """Counts draws of a stream of an example, by numbers."""
        count = voting(network, shape, self.sigma, self.batch_size)

        def votes(x, number, stream, begin, end):
            key = (3 * self.seed + stream) * EXAMPLES + int(number)
            return count(x, key, begin, end)

        return votes

    def _check(self, before, y, index):
        """Refuses to count on from draws of something else."""
        same = [
            np.array_equal(*pair)
            for pair in ((before.y, y), (before.index, index))
        ]
        expected = "be of the same examples: labels and index"
        checks.argument(all(same), "before", expected, "others")
        fits = before.sigma == self.sigma and before.draws < self.n
        expected = f"be of sigma={self.sigma:g} and fewer draws than {self.n}"
        received = f"sigma={before.sigma:g} and {before.draws} draws"
        checks.argument(fits, "before", expected, received)


def _checked(
    x: Any, y: Any, index: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, float32; labels and numbers of the examples."""
    x, y = np.asarray(x, np.float32), np.asarray(y)
    checks.argument(x.ndim > 1 and len(x) > 0, "x", "hold examples", x)
    expected = f"hold an integer class for each input, shape [{len(x)}]"
    fits = y.shape == (len(x),) and y.dtype.kind in "iu"
    checks.argument(fits, "y", expected, y)
    index = np.arange(len(x)) if index is None else np.asarray(index)
    fits = index.shape == (len(x),) and index.dtype.kind in "iu"
    fits = fits and len(np.unique(index)) == len(index)
    fits = fits and index.min() >= 0 and index.max() < EXAMPLES
    expected = f"hold {len(x)} different integers from 0 to {EXAMPLES}"
    checks.argument(fits, "index", expected, index)
    return x, y, index.astype(np.int64)


def _labels(y, classes):
    """Labels, int32, all of them classes of the network."""
    spec = tf.TensorSpec([len(y), classes])
    return np.asarray(checks.labels(y, spec), np.int32)
