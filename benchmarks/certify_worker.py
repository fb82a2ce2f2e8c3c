"""Bounds of one tool on one problem; see certify.py.

    python certify_worker.py TOOL PROBLEM.npz METHODS BATCHES ANSWERS.npz

Runs in the tool's own interpreter and imports nothing of this project but what
it measures. Prints one line of JSON for each method and batch size.
"""

import json
import resource
import sys
import time

import numpy as np

REPEATS = 4


def tfrobust(problem):
    import keras
    import tensorflow as tf

    import tfrobust as tfr

    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(16, 4, 2, padding="same", activation="relu"),
            layers.Conv2D(32, 4, 2, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(100, activation="relu"),
            layers.Dense(10),
        ]
    )
    network.set_weights([problem[f"w{k}"] for k in range(8)])
    threat = tfr.threats.Linf(float(problem["epsilon"]))
    verifiers = {
        "IBP": tfr.verifiers.IBP(threat),
        "CROWN-IBP": tfr.verifiers.CROWNIBP(threat),
        # As the paper and the peer do it.
        "CROWN": tfr.verifiers.CROWN(threat, intersect=False),
    }

    def prepare(method):
        @tf.function(autograph=False)
        def margins(x, y):
            return verifiers[method].margins(network, x, y)

        margins = margins.get_concrete_function(
            tf.TensorSpec([None, 28, 28, 1]), tf.TensorSpec([None], tf.int64)
        )
        return lambda x, y: margins(tf.constant(x), tf.constant(y)).numpy()

    return prepare


def auto_lirpa(problem):
    import torch
    import torch.onnx.symbolic_helper

    # What its release of 2022 expects of PyTorch, and newer ones dropped.
    torch.onnx.symbolic_helper._set_opset_version = lambda version: None
    torch._C.Node.__getitem__ = lambda self, key: getattr(
        self, self.kindOf(key)
    )(key)
    from auto_LiRPA import BoundedModule, BoundedTensor, PerturbationLpNorm

    torch.set_num_threads(2)
    nn, weights = torch.nn, [problem[f"w{k}"] for k in range(8)]
    network = nn.Sequential(
        nn.Conv2d(1, 16, 4, 2, 1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 4, 2, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(1568, 100),
        nn.ReLU(),
        nn.Linear(100, 10),
    )
    dense = weights[4].reshape(7, 7, 32, 100).transpose(3, 2, 0, 1)
    kernels = [
        weights[0].transpose(3, 2, 0, 1),
        weights[2].transpose(3, 2, 0, 1),
        dense.reshape(100, 1568),
        weights[6].T,
    ]
    with torch.no_grad():
        for layer, kernel, bias in zip(
            (network[k] for k in (0, 2, 5, 7)),
            kernels,
            weights[1::2],
            strict=True,
        ):
            layer.weight.copy_(torch.tensor(np.ascontiguousarray(kernel)))
            layer.bias.copy_(torch.tensor(bias))
    epsilon = float(problem["epsilon"])

    def prepare(method):
        bounded = []

        def margins(x, y):
            x = torch.tensor(x.transpose(0, 3, 1, 2))
            if not bounded:
                options = {"conv_mode": "patches"}
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


def main():
    tool, problem, methods, batches, answers = sys.argv[1:]
    problem = dict(np.load(problem))
    prepare = {"tfrobust": tfrobust, "auto_LiRPA": auto_lirpa}[tool](problem)
    found = {}
    for method in methods.split(","):
        margins = prepare(method)
        # What the library itself takes isn't what the method takes.
        margins(problem["x"][:1], problem["y"][:1])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for batch in map(int, batches.split(",")):
            x, y = problem["x"][:batch], problem["y"][:batch]
            found[f"{method}/{batch}"] = margins(x, y)
            seconds = []
            for _ in range(REPEATS):
                begin = time.perf_counter()
                margins(x, y)
                seconds.append(time.perf_counter() - begin)
            after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            line = {
                "method": method,
                "batch": batch,
                "seconds": min(seconds),
                "extra_mib": (after - before) / 1024,
                "peak_mib": after / 1024,
            }
            print(json.dumps(line), flush=True)
    np.savez(answers, **found)


if __name__ == "__main__":
    main()
