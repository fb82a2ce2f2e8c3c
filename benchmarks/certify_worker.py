"""Bounds of one tool on one problem; see certify.py.

    python certify_worker.py TOOL PROBLEM.npz METHOD BATCHES MIB ANSWERS.npz

Runs in the tool's own interpreter and imports nothing of this project but what
it measures. Prints one line of JSON for each batch size. A batch for which the
one before lets expect more than MIB is left out. Then it keeps the margins of a
few examples.
"""

import ctypes
import functools
import gc
import json
import pathlib
import sys
import time

import numpy as np

REPEATS, SECONDS = 4, 1.0  # At least so often and so long.
COMPARED = 8  # Examples whose margins are kept.


def tfrobust(problem, weights):
    import keras
    import tensorflow as tf

    import tfrobust as tfr

    network = keras_network(keras, str(problem["network"]), weights)
    threat = tfr.threats.Linf(float(problem["epsilon"]))
    verifiers = {
        "IBP": lambda _: tfr.verifiers.IBP(threat),
        "CROWN-IBP": lambda _: tfr.verifiers.CROWNIBP(threat),
        # Literally as the paper and the peer do it, when margins are compared.
        "CROWN": lambda literal: tfr.verifiers.CROWN(
            threat, intersect=not literal
        ),
    }

    def prepare(method, literal=False):
        verifier = verifiers[method](literal)

        @tf.function(autograph=False)
        def margins(x, y):
            return verifier.margins(network, x, y)

        margins = margins.get_concrete_function(
            tf.TensorSpec([None, 28, 28, 1]), tf.TensorSpec([None], tf.int64)
        )
        return lambda x, y: margins(tf.constant(x), tf.constant(y)).numpy()

    return prepare


def keras_network(keras, name, weights):
    layers = keras.layers
    size = [array.shape[-1] for array in weights[::2]]

    def convolution(k, kernel, strides):
        return layers.Conv2D(size[k], kernel, strides, padding="same")

    image = keras.Input((28, 28, 1))
    if name == "lstm":
        x = layers.Reshape((16, 49))(image)
        x = layers.LSTM(size[0] // 4)(x)
        kernel, bias, recurrent, more, *last = weights
        weights = [kernel, recurrent, bias + more, *last]
    if name == "mlp":
        x = layers.Flatten()(image)
        for units in size[:-1]:
            x = layers.ReLU()(layers.Dense(units)(x))
    if name in ("cnn", "residual"):
        x = layers.ReLU()(convolution(0, 4, 2)(image))
    if name == "cnn":
        x = layers.ReLU()(convolution(1, 4, 2)(x))
        x = layers.Flatten()(x)
        x = layers.ReLU()(layers.Dense(size[2])(x))
    if name == "residual":
        y = layers.ReLU()(convolution(1, 3, 1)(x))
        x = layers.Add()([convolution(2, 3, 1)(y), x])
        x = layers.ReLU()(x)
        x = layers.ReLU()(convolution(3, 4, 2)(x))
        x = layers.Flatten()(x)
    network = keras.Model(image, layers.Dense(size[-1])(x))
    network.set_weights(weights)
    return network


def auto_lirpa(problem, weights):
    import torch
    import torch.onnx._internal.torchscript_exporter._globals
    import torch.onnx.symbolic_helper

    # What its release of 2022 expects of PyTorch, and newer ones changed.
    torch.onnx.symbolic_helper._set_opset_version = functools.partial(
        setattr, opset_of(torch), "export_onnx_opset_version"
    )
    torch._C.Node.__getitem__ = lambda self, key: getattr(
        self, self.kindOf(key)
    )(key)
    from auto_LiRPA import BoundedModule, BoundedTensor, PerturbationLpNorm

    members = BoundedModule._named_members
    BoundedModule._named_members = lambda self, *args, **options: members(
        self, *args
    )
    torch.set_num_threads(2)
    network = torch_network(torch, str(problem["network"]), weights)
    epsilon = float(problem["epsilon"])

    def prepare(method, literal=False):
        # By default intervals replace the bounds of ReLUs that they settle,
        # which is faster, and other margins than those of the papers.
        convolutions = problem["network"] in ("cnn", "residual")
        options = {
            "conv_mode": "patches" if convolutions else "matrix",
            "sparse_intermediate_bounds": not literal,
        }
        bounded = []

        def margins(x, y):
            x = torch.tensor(x.transpose(0, 3, 1, 2))
            if not bounded:
                bounded.append(BoundedModule(network, x, bound_opts=options))
            ball = PerturbationLpNorm(
                norm=np.inf,
                eps=epsilon,
                x_L=(x - epsilon).clamp(0, 1),
                x_U=(x + epsilon).clamp(0, 1),
            )
            eye = torch.eye(10)
            functions = eye[torch.tensor(y)][:, None] - eye[None]
            with torch.no_grad():
                return (
                    bounded[0]
                    .compute_bounds(
                        x=(BoundedTensor(x, ball),),
                        method=method,
                        C=functions,
                        bound_upper=False,
                    )[0]
                    .numpy()
                )

        return margins

    return prepare


def opset_of(torch):
    """Where PyTorch keeps the version of ONNX that it writes."""
    return torch.onnx._internal.torchscript_exporter._globals.GLOBALS


def torch_network(torch, name, weights):
    nn = torch.nn

    def loaded(layer, kernel, bias):
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(np.ascontiguousarray(kernel)))
            layer.bias.copy_(torch.tensor(bias))
        return layer

    def convolution(k, strides):
        kernel, bias = weights[2 * k : 2 * k + 2]
        size, _, channels, filters = kernel.shape
        layer = nn.Conv2d(channels, filters, size, strides, 1)
        return loaded(layer, kernel.transpose(3, 2, 0, 1), bias)

    def dense(k, after_convolution=False):
        kernel, bias = weights[2 * k : 2 * k + 2]
        inputs, units = kernel.shape
        if after_convolution:
            # PyTorch flattens channels first.
            kernel = kernel.reshape(49, -1, units).transpose(1, 0, 2)
            kernel = kernel.reshape(inputs, units)
        return loaded(nn.Linear(inputs, units), kernel.T, bias)

    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Sequential(convolution(0, 2), nn.ReLU())
            self.inner = nn.Sequential(
                convolution(1, 1), nn.ReLU(), convolution(2, 1)
            )
            self.last = nn.Sequential(
                nn.ReLU(),
                convolution(3, 2),
                nn.ReLU(),
                nn.Flatten(),
                dense(4, after_convolution=True),
            )

        def forward(self, x):
            x = self.first(x)
            return self.last(self.inner(x) + x)

    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.given, self.kept, self.last = map(dense, range(3))

        def forward(self, x):
            x, units = x.flatten(1), self.kept.in_features
            # Before the first step everything is 0.
            held = hidden = 0.0 * x[:, :units]
            for step in range(16):
                row = x[:, 49 * step : 49 * (step + 1)]
                gates = self.given(row) + self.kept(hidden)
                i, f, g, o = (
                    gates[:, k * units : (k + 1) * units] for k in range(4)
                )
                kept = torch.sigmoid(f) * held
                held = kept + torch.sigmoid(i) * torch.tanh(g)
                hidden = torch.sigmoid(o) * torch.tanh(held)
            return self.last(hidden)

    if name == "lstm":
        return Recurrent()
    if name == "residual":
        return Residual()
    if name == "mlp":
        return nn.Sequential(
            nn.Flatten(), dense(0), nn.ReLU(), dense(1), nn.ReLU(), dense(2)
        )
    return nn.Sequential(
        convolution(0, 2),
        nn.ReLU(),
        convolution(1, 2),
        nn.ReLU(),
        nn.Flatten(),
        dense(2, after_convolution=True),
        nn.ReLU(),
        dense(3),
    )


def main():
    tool, problem, method, batches, limit, answers = sys.argv[1:]
    problem = dict(np.load(problem))
    count = sum(name.startswith("w") for name in problem)
    weights = [problem[f"w{k}"] for k in range(count)]
    library = {"tfrobust": tfrobust, "auto_LiRPA": auto_lirpa}[tool]
    prepare = library(problem, weights)
    margins = prepare(method)
    # What the library itself takes isn't what the method takes: a batch of two
    # is the smallest for which oneDNN compiles TensorFlow's matrix products.
    for few in 1, 2:
        margins(problem["x"][:few], problem["y"][:few])
    before, used, last = held(), 0.0, 1
    for batch in map(int, batches.split(",")):
        if used * batch / last > float(limit):
            break
        x, y = problem["x"][:batch], problem["y"][:batch]
        margins(x, y)  # Warms up.
        seconds = []
        while len(seconds) < REPEATS or sum(seconds) < SECONDS:
            begin = time.perf_counter()
            margins(x, y)
            seconds.append(time.perf_counter() - begin)
        used, last = status("VmHWM") - before, batch
        line = {
            "method": method,
            "batch": batch,
            "seconds": min(seconds),
            "mib": used,
        }
        print(json.dumps(line), flush=True)
    x, y = problem["x"][:COMPARED], problem["y"][:COMPARED]
    np.savez(answers, **{method: prepare(method, literal=True)(x, y)})


def held():
    """The MiB that this process holds, and forgets its peak; Linux only."""
    gc.collect()
    # What is free goes back, so that nothing hides in it.
    ctypes.CDLL(None).malloc_trim(0)
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    return status("VmRSS")


def status(name):
    """One of the kernel's figures of this process, in MiB."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) / 1024
    raise KeyError(name)


if __name__ == "__main__":
    main()
