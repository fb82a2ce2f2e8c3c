"""Per-example losses summed up over all replicas."""

import tensorflow as tf


def mean_loss(values, sample_weight):
    """The weighted mean loss of this replica, and its share of the batch's."""
    if sample_weight is not None:
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
