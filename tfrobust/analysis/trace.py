"""The trace of an operator that is known by its products."""

import dataclasses
import math
import statistics

import numpy as np

from tfrobust.analysis.lanczos import Product


@dataclasses.dataclass(frozen=True)
class Trace:
    """An estimate of a trace, and how sure it is.

    Args:
        mean: The estimate.
        low: Lower end of the confidence interval.
        high: Upper end of the confidence interval.
        standard_error: That of the mean.
        samples: What each random vector gave, shape `[products]`.
        products: Hessian-vector products taken, each a pass over all data.
    """

    mean: float
    low: float
    high: float
    standard_error: float
    samples: np.ndarray
    products: int

    def to_dict(self) -> dict:
        """As what JSON can hold."""
        return {**vars(self), "samples": self.samples.tolist()}


def trace(
    product: Product,
    size: int,
    count: int,
    confidence: float,
    random: np.random.Generator,
) -> Trace:
    """Hutchinson's estimate: the mean of `z . H z`, z of signs.

    Args:
        product: The operator, a function of a vector to a vector.
        size: Length of its vectors.
        count: How many vectors, at least 2.
        confidence: Probability that the interval covers the trace.
        random: The generator of the signs.
    """
    samples = np.zeros(count)
    for i in range(count):
        signs = random.choice([-1.0, 1.0], size)
        samples[i] = signs @ product(signs)
    mean = float(samples.mean())
    error = float(samples.std(ddof=1)) / math.sqrt(count)
    margin = student_quantile((1 + confidence) / 2, count - 1) * error
    return Trace(mean, mean - margin, mean + margin, error, samples, count)


def student_quantile(probability: float, freedom: int) -> float:
    """The quantile of Student's t distribution, for probabilities from 0.5.

    Newton's method on the probability, which is a finite sum in the angle
    `atan(t / sqrt(freedom))`.

    Reference: Abramowitz and Stegun, 1964, equations 26.7.3 and 26.7.4.
    """
    value = statistics.NormalDist().inv_cdf(probability)
    log = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)
    scale = math.exp(log) / math.sqrt(freedom * math.pi)
    for _ in range(100):
        gap = probability - (1 + _two_sided(value, freedom)) / 2
        shape = (1 + value**2 / freedom) ** (-(freedom + 1) / 2)
        step = gap / (scale * shape)
        value += step
        if abs(step) <= 1e-12 * value:
            break
    return value


def _two_sided(value, freedom):
    """The probability that the magnitude is below a value."""
    angle = math.atan(value / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term, total = (cosine, 0.0) if odd else (1.0, 0.0)
    for k in range(1 + odd, freedom, 2):
        total += term
        term *= cosine**2 * k / (k + 1)
    if odd:
        return (angle + sine * total) * 2 / math.pi
    return sine * total
