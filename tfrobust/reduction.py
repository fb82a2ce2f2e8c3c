"""Per-example losses summed up over all replicas."""

import tensorflow as tf


def mean_loss(values, sample_weight):
    """The weighted mean loss of this replica, and its share of the batch's."""
    if sample_weight is not None:
        shape = tf.convert_to_tensor(sample_weight).shape
        if (shape.rank or 0) > 1 and shape[1:].num_elements() != 1:
            raise ValueError(
                "`sample_weight` must hold one weight for each example, shape "
                f"[batch]. Received shape {shape}."
            )
        values *= tf.reshape(tf.cast(sample_weight, values.dtype), [-1])
    count = tf.cast(tf.shape(values)[0], values.dtype)
    context = tf.distribute.get_replica_context()
    whole = context.all_reduce("SUM", count)
    total = tf.reduce_sum(values)
    return tf.math.divide_no_nan(total, count), total / tf.maximum(whole, 1.0)


def penalties(model):
    """The sum of what layers added to the loss, and this replica's share."""
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    terms = [tf.cast(term, tf.float32) for term in model.losses]
    total = tf.add_n(terms) if terms else tf.constant(0.0)
    return total, total / replicas


def of_some(logits, clean):
    """Returns `logits()`, not called where this replica has no examples.

    TensorFlow has no gradient of a convolution of none.
    """
    clean = tf.cast(clean, tf.float32)
    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return logits()
    some = tf.shape(clean)[0] > 0
    return tf.ensure_shape(tf.cond(some, logits, lambda: clean), clean.shape)
