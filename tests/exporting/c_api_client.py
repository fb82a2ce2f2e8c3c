"""Answers through TensorFlow's C API, the loader of TensorFlow Serving.

Usage: c_api_client.py LIBRARY FOLDER INPUTS.npy REQUEST..., where a request is
INPUT,OUTPUT,TYPE,OUTPUT.npy: names of tensors, the type of the output, and the
file to write it to. Neither tfrobust nor TensorFlow's Python is imported.
"""

import ctypes
import sys

import numpy as np

FLOAT = 1  # TF_FLOAT


class Port(ctypes.Structure):
    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


def main(library, folder, inputs, *requests):
    tf = ctypes.CDLL(library)
    for name in (
        "TF_NewStatus",
        "TF_NewSessionOptions",
        "TF_NewGraph",
        "TF_LoadSessionFromSavedModel",
        "TF_GraphOperationByName",
        "TF_AllocateTensor",
        "TF_TensorData",
    ):
        getattr(tf, name).restype = ctypes.c_void_p
    tf.TF_TensorByteSize.restype = ctypes.c_size_t
    tf.TF_Message.restype = ctypes.c_char_p
    tf.TF_Dim.restype = ctypes.c_int64
    pointer = ctypes.c_void_p
    status = pointer(tf.TF_NewStatus())
    graph = pointer(tf.TF_NewGraph())

    def check():
        if tf.TF_GetCode(status):
            raise SystemExit(tf.TF_Message(status).decode())

    session = tf.TF_LoadSessionFromSavedModel(
        pointer(tf.TF_NewSessionOptions()),
        None,
        folder.encode(),
        (ctypes.c_char_p * 1)(b"serve"),
        1,
        graph,
        None,
        status,
    )
    check()

    def port(name):
        operation, index = name.split(":")
        found = tf.TF_GraphOperationByName(graph, operation.encode())
        assert found, f"The graph has no {operation}."
        return Port(found, int(index))

    def run(x, source, target, kind):
        shape = (ctypes.c_int64 * x.ndim)(*x.shape)
        size = ctypes.c_size_t(x.nbytes)
        tensor = pointer(tf.TF_AllocateTensor(FLOAT, shape, x.ndim, size))
        ctypes.memmove(pointer(tf.TF_TensorData(tensor)), x.ctypes.data, size)
        given, answer = (pointer * 1)(tensor), (pointer * 1)()
        source, target = (Port * 1)(port(source)), (Port * 1)(port(target))
        tf.TF_SessionRun(
            pointer(session),
            None,
            *(source, given, 1),
            *(target, answer, 1),
            *(None, 0, None, status),
        )
        check()
        y = pointer(answer[0])
        shape = [tf.TF_Dim(y, axis) for axis in range(tf.TF_NumDims(y))]
        content = ctypes.string_at(tf.TF_TensorData(y), tf.TF_TensorByteSize(y))
        return np.frombuffer(content, kind).reshape(shape)

    x = np.ascontiguousarray(np.load(inputs), np.float32)
    for request in requests:
        *names, file = request.split(",")
        np.save(file, run(x, *names))
    assert not {"tensorflow", "tfrobust"} & set(sys.modules)


if __name__ == "__main__":
    main(*sys.argv[1:])
