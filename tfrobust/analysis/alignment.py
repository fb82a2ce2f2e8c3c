"""How far maps point along the inputs, or along differences of classes."""

from typing import NamedTuple

import numpy as np

from tfrobust import checks
from tfrobust.analysis.maps import cosines, divided, rows, same_shape
from tfrobust.analysis.problem import in_batches, problem
from tfrobust.analysis.saliency import runner_up, saliency
from tfrobust.averaging import on_network
from tfrobust.types import Model, TensorLike


class Alignment(NamedTuple):
    """How far each map points along its input.

    Attributes:
        value: `|<x, g>| / |g|`, in the units of x, shape `[batch]`; NaN where
            g is 0, as below.
        cosine: The same over `|x|`, in [0, 1].
    """

    value: np.ndarray
    cosine: np.ndarray


def alignment(x: TensorLike, maps: TensorLike) -> Alignment:
    """How far each map points along its input.

    With the saliency of a linear model without bias the value is the
    Euclidean distance of x from the decision boundary.

    Args:
        x: Inputs, shape `[batch, ...]`, floating point.
        maps: Of x's shape, such as `saliency(model, x)`.

    Returns:
        An `Alignment`.

    Raises:
        ValueError: If the two have different shapes, or no finite numbers.

    Example:
        maps = tfr.analysis.saliency(model, x)
        print(tfr.analysis.alignment(x, maps).value.mean())

    Reference: Etmann et al., 2019, arXiv 1905.04172.
    """
    same_shape(x, maps, "`x` and `maps`")
    points, slopes = rows(x, "x"), rows(maps)
    products = np.abs(np.sum(points * slopes, axis=1))
    value = divided(products, np.linalg.norm(slopes, axis=1))
    return Alignment(value, np.abs(cosines(points, slopes)))


def class_means(
    x: TensorLike, y: TensorLike, classes: int | None = None
) -> np.ndarray:
    """The mean input of each class, shape `[classes, ...]`, float32.

    Args:
        x: Inputs, shape `[batch, ...]`, floating point.
        y: Integer labels, shape `[batch]`.
        classes: Number of classes; None for those up to the largest label.

    Returns:
        The means; NaN of a class without examples.

    Raises:
        ValueError: If lengths differ, or a label is out of range.

    Example:
        `means = tfr.analysis.class_means(x_train, y_train)`
    """
    points, labels = rows(x, "x"), np.asarray(y)
    if classes is None:
        classes = int(np.max(labels, initial=0)) + 1
    checks.count(classes, "classes", 1)
    fine = labels.shape == (len(points),) and labels.dtype.kind in "iu"
    fine = fine and bool(np.all((labels >= 0) & (labels < classes)))
    expected = f"be whole labels from 0 to {classes - 1}, shape [{len(points)}]"
    checks.argument(fine, "y", expected, labels)
    members = np.eye(classes)[labels]
    counts = members.sum(axis=0)
    means = divided(members.T @ points, counts[:, None])
    return means.reshape([classes, *np.shape(x)[1:]]).astype(np.float32)


@on_network
def class_mean_cosine(
    model: Model,
    x: TensorLike,
    means: TensorLike,
    y: TensorLike | None = None,
    maps: TensorLike | None = None,
    batch_size: int = 128,
) -> np.ndarray:
    """The cosine of each map with the difference of two class means.

    It is `mu_y - mu_j`, where j has the largest logit at x but y.

    Args:
        model: A `RobustModel`, or any callable `model(x, training=False) ->
            logits`.
        x: Inputs, shape `[batch, ...]`, floating point.
        means: The mean input of each class, shape `[classes, ...]`, see
            `class_means`.
        y: Integer labels, shape `[batch]`; None for the predicted ones.
        maps: Of x's shape; None for `saliency`.
        batch_size: Number of examples that are worked on at once.

    Returns:
        Cosines, shape `[batch]`; NaN where a map or a difference is 0.

    Raises:
        ValueError: If an argument isn't as expected.

    Example:
        means = tfr.analysis.class_means(x_train, y_train)
        print(tfr.analysis.class_mean_cosine(model, x, means).mean())
    """
    x, y = problem(model, x, y, batch_size)
    other = in_batches(lambda x, y: runner_up(model, x, y), batch_size, x, y)
    if maps is None:
        maps = saliency(model, x, y, batch_size)
    same_shape(x, maps, "`x` and `maps`")
    means = np.asarray(means, np.float64)
    fine = means.shape[1:] == x.shape[1:]
    fine = fine and len(means) > max(y.max(), other.max())
    expected = f"have a row of shape {x.shape[1:]} for each class"
    checks.argument(fine, "means", expected, means)
    gaps = (means[y] - means[other]).reshape(len(x), -1)
    return cosines(rows(maps), gaps)
