"""Requests that TensorFlow Serving replays before it takes others.

The file is a TFRecord of `tensorflow.serving.PredictionLog`. Few of its fields
are needed, so they are written here, without tensorflow-serving-api.
"""

import tensorflow as tf

NAME = "tf_serving_warmup_requests"


def write(folder, model, inputs):
    """Writes a request for each signature.

    Args:
        folder: The folder `assets.extra` of a SavedModel.
        model: Name under which the model is served.
        inputs: Dictionary of signature to a dictionary of input to array.
    """
    folder.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(folder / NAME)) as writer:
        for signature, arrays in inputs.items():
            writer.write(_prediction_log(model, signature, arrays))


def _prediction_log(model, signature, arrays):
    """The message; the numbers of the fields are those of the API."""
    spec = _field(1, model.encode()) + _field(3, signature.encode())
    request = _field(1, spec)
    for name, array in arrays.items():
        tensor = tf.make_tensor_proto(array).SerializeToString()
        request += _field(2, _field(1, name.encode()) + _field(2, tensor))
    predict_log = _field(1, request)
    return _field(6, predict_log)


def _field(number, content):
    """A length-delimited field of a protocol buffer."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value):
    """Seven bits a byte, the lowest first; all but the last are marked."""
    octets = bytearray()
    while value > 127:
        octets.append(value & 127 | 128)
        value >>= 7
    return bytes([*octets, value])
