"""Points within the boxes of a value inside of a network."""

import tensorflow as tf

from tfrobust.bounds.sorting import moves_as_a_whole
from tfrobust.graph import Node, Trace, run_nodes
from tfrobust.types import TensorLike

# From which share of the way to an end of its box on a point moves that end.
_LINK = 0.5


class Rest:
    """What a network computes after one of its activations.

    Args:
        trace: The `Trace`, whose records were looked up.
        split: Which activation, from 1 on.

    Attributes:
        begin: The `Node` of the activation.
        classes: Number of logits.

    Call arguments:
        value: Of the activation, `[any, ...]`.

    Raises:
        ValueError: If there is no such activation, or if what follows reads
            something else of the input.
    """

    def __init__(self, trace: Trace, split: int) -> None:
        activations = _activations(trace.nodes[1:])
        rests = [_after(trace, node) for node in activations]
        fit = [number for number, rest in enumerate(rests, 1) if rest]
        if split not in fit:
            raise ValueError(
                "`split` must name an activation that all of the network "
                f"passes through. Received: split={split}. Of "
                f"{len(activations)} activations fit: {fit or 'none'}."
            )
        self.begin: Node = activations[split - 1]
        self.classes = trace.output.size
        self._nodes = rests[split - 1]

    def __call__(self, value: tf.Tensor) -> tf.Tensor:
        return run_nodes(self._nodes, {self.begin: value})


def _activations(nodes):
    """Those that aren't linear; a `MinMax` is one, not what it is made of."""
    whole = [node for node in nodes if moves_as_a_whole(node)]
    gaps = {node.dependent[1] for node in whole}
    return [
        node
        for node in nodes
        if node in whole or not (node.rule.linear or node in gaps)
    ]


def _after(trace, begin):
    """The nodes between one and the output; none if there are other ways."""
    needed, rest = {trace.output}, []
    for node in reversed(trace.nodes):
        if node not in needed or node is begin:
            continue
        if node.op is None:
            return []
        rest.append(node)
        needed.update(node.dependent)
    return rest[::-1]


def ascend(
    rest: Rest,
    box: tuple[tf.Tensor, tf.Tensor],
    y: TensorLike,
    share: tf.Tensor,
    steps: int,
    step_size: float,
) -> tf.Tensor:
    """A point for each class at which its logit exceeds that of the label.

    Args:
        rest: A network from a value of shape `[any, ...]` to its logits.
        box: Lower and upper ends of the value, each `[batch, ...]`.
        y: Labels, `[batch]`.
        share: Where to start between both ends, in [0, 1], as they.
        steps: Number of steps.
        step_size: Length of each, as a fraction of half of the sides.

    Returns:
        Shape `[batch * classes, ...]`, all classes of an example in turn;
        without gradient.
    """
    classes = rest.classes
    lower, upper, share = (
        tf.stop_gradient(tf.repeat(end, classes, axis=0))
        for end in (*box, share)
    )
    move = step_size * (upper - lower) / 2

    def step(number, point):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(point)
            lead = tf.reduce_sum(leads(rest(point), y, classes))
        gradient = tape.gradient(lead, point)
        moved = point + move * tf.sign(gradient)
        return number + 1, tf.clip_by_value(moved, lower, upper)

    start = lower + share * (upper - lower)
    _, point = tf.while_loop(lambda number, _: number < steps, step, (0, start))
    return tf.stop_gradient(point)


def leads(logits: tf.Tensor, y: TensorLike, classes: int) -> tf.Tensor:
    """By how much each class leads over the label at its own point.

    Args:
        logits: At the points of `ascend`, `[batch * classes, classes]`.
        y: Labels, `[batch]`.
        classes: Number of classes.

    Returns:
        Shape `[batch, classes]`, 0 at the label.
    """
    logits = tf.reshape(tf.cast(logits, tf.float32), [-1, classes, classes])
    own = tf.linalg.diag_part(logits)
    return own - tf.gather(logits, y, axis=2, batch_dims=1)


def linked(point: tf.Tensor, box: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
    """Points of all classes, whose gradient moves ends of boxes that are near.

    The upper end has the share `max(0, (x - (u - d)) / d)` of it, with
    `d = (u - l) / 2`, the lower one the like: none in the middle, all at an
    end.

    Args:
        point: What `ascend` returned, `[batch * classes, ...]`.
        box: Lower and upper ends of the value, each `[batch, ...]`.
    """
    classes = tf.shape(point)[0] // tf.shape(box[0])[0]
    lower, upper = (tf.repeat(end, classes, axis=0) for end in box)
    near = tf.stop_gradient(_LINK * (upper - lower))
    value = point
    for end, gap in ((lower, point - lower), (upper, upper - point)):
        share = tf.math.divide_no_nan(near - gap, near)
        share = tf.stop_gradient(tf.clip_by_value(share, 0.0, 1.0))
        value += share * (end - tf.stop_gradient(end))
    return value
