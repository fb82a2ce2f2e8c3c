"""A network with the statistics of one batch."""

import tensorflow as tf

from tfrobust.graph.reading import Reading, run_nodes


class Frozen(Reading):
    """A network as in training, whose statistics are those of one batch.

    It is called once in training mode, which changes its moving statistics.
    Then it answers for any inputs with the means and variances of that batch,
    through which gradients flow. See `Reading` for what it holds and raises.

    Args:
        model: Any callable `model(x, training) -> outputs`.
        x: The batch, shape `[batch, ...]`.

    Call arguments:
        x: Inputs, shape `[any, ...]`.
        training: Makes no difference.
    """

    training = True
    cure = "Leave out layers that are random in training, such as Dropout."

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        return run_nodes(self.nodes[1:], {self.input: tf.convert_to_tensor(x)})
