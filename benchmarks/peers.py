"""PGD of several tools on one network, each as its documentation calls it.

A tool is a function of a `Problem` that returns `attack` and `predict`. Both
take and return NumPy arrays, so the conversions that a user pays are timed.
`start` and `run` are called in a process of the tool's own: TensorFlow and
PyTorch would fight for the threads of one.

Nothing but NumPy is imported before a tool asks for it.
"""

import dataclasses
import time

import numpy as np


@dataclasses.dataclass
class Problem:
    """What every tool is asked.

    Attributes:
        x: Images, shape `[n, 28, 28, 1]`, float32 in [0, 1].
        y: Labels, shape `[n]`, int64.
        weights: Kernels and biases of `networks.small_cnn`, Keras's layout.
        logits: What the network answers on the first batch.
        epsilon: Radius of the linf ball.
        step: Length of a step, in the units of x.
        steps: Number of steps.
        batch_size: Examples in a call.
        threads: Threads of each process.
    """

    x: np.ndarray
    y: np.ndarray
    weights: list
    logits: np.ndarray
    epsilon: float
    step: float
    steps: int
    batch_size: int
    threads: int

    def batches(self):
        for begin in range(0, len(self.x), self.batch_size):
            rows = slice(begin, begin + self.batch_size)
            yield self.x[rows], self.y[rows]


def tfrobust(problem, **options):
    import tensorflow as tf

    import tfrobust as tfr

    network = _keras_network(problem)
    attack = tfr.attacks.PGD(
        tfr.threats.Linf(problem.epsilon),
        steps=problem.steps,
        step_size=problem.step / problem.epsilon,
        **options,
    )

    @tf.function
    def perturb(x, y):
        return attack.perturb(network, x, y)

    return lambda x, y: _numpy(perturb, x, y), network.predict_on_batch


def tfrobust_last(problem):
    return tfrobust(problem, best=False)


def tfrobust_early(problem):
    return tfrobust(problem, early_stop=True)


def art_tensorflow(problem):
    import keras
    from art.estimators.classification import TensorFlowV2Classifier

    network = _keras_network(problem)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    classifier = TensorFlowV2Classifier(
        _compiled(network), 10, (28, 28, 1), loss, clip_values=(0, 1)
    )
    return _art_attack(problem, classifier), network.predict_on_batch


def art_pytorch(problem):
    import torch
    from art.estimators.classification import PyTorchClassifier

    network, predict = _torch_network(problem)
    classifier = PyTorchClassifier(
        network,
        torch.nn.CrossEntropyLoss(),
        (1, 28, 28),
        10,
        clip_values=(0, 1),
        device_type="cpu",
    )
    return _channels_first(_art_attack(problem, classifier)), predict


def foolbox_tensorflow(problem):
    import foolbox

    network = _keras_network(problem)
    model = foolbox.TensorFlowModel(_compiled(network), bounds=(0, 1))
    return _foolbox_attack(problem, model), network.predict_on_batch


def foolbox_pytorch(problem):
    import foolbox

    network, predict = _torch_network(problem)
    model = foolbox.PyTorchModel(network, bounds=(0, 1), device="cpu")
    attack = _foolbox_attack(problem, model, _torch_call)
    return _channels_first(attack), predict


def cleverhans_tensorflow(problem):
    from cleverhans.tf2.attacks import projected_gradient_descent as module

    network = _keras_network(problem)
    pgd = module.projected_gradient_descent
    attack = _cleverhans_attack(problem, _compiled(network), pgd, rand_init=1.0)
    return attack, network.predict_on_batch


def cleverhans_graph(problem):
    """CleverHans, its whole loop compiled by the user."""
    import tensorflow as tf
    from cleverhans.tf2.attacks import projected_gradient_descent as module

    network = _keras_network(problem)
    pgd = module.projected_gradient_descent

    def unrolled(model, x, epsilon, step, steps, norm, y, **options):
        return pgd(model, x, epsilon, step, steps, norm, y=y, **options)

    compiled = tf.function(unrolled)
    attack = _cleverhans_attack(problem, network, compiled, rand_init=1.0)
    return attack, network.predict_on_batch


def cleverhans_pytorch(problem):
    from cleverhans.torch.attacks import projected_gradient_descent as module

    network, predict = _torch_network(problem)
    pgd = module.projected_gradient_descent
    attack = _cleverhans_attack(problem, network, pgd, _torch_call)
    return _channels_first(attack), predict


def torchattacks(problem):
    import torchattacks as module

    network, predict = _torch_network(problem)
    attack = module.PGD(network, problem.epsilon, problem.step, problem.steps)
    return _channels_first(lambda x, y: _torch_call(attack, x, y)), predict


def _art_attack(problem, classifier):
    from art.attacks import evasion

    attack = evasion.ProjectedGradientDescent(
        classifier,
        eps=problem.epsilon,
        eps_step=problem.step,
        max_iter=problem.steps,
        num_random_init=1,
        batch_size=problem.batch_size,
        verbose=False,
    )
    return attack.generate


def _foolbox_attack(problem, model, call=None):
    import foolbox

    attack = foolbox.attacks.LinfPGD(
        abs_stepsize=problem.step, steps=problem.steps
    )

    def perturb(x, y):
        return attack(model, x, y, epsilons=problem.epsilon)[1]

    return lambda x, y: (call or _numpy)(perturb, x, y)


def _cleverhans_attack(problem, model, pgd, call=None, **options):
    def perturb(x, y):
        return pgd(
            model,
            x,
            problem.epsilon,
            problem.step,
            problem.steps,
            np.inf,
            y=y,
            clip_min=0.0,
            clip_max=1.0,
            **options,
        )

    return lambda x, y: (call or _numpy)(perturb, x, y)


def _keras_network(problem):
    import tensorflow as tf

    from examples import networks

    tf.config.threading.set_intra_op_parallelism_threads(problem.threads)
    tf.config.threading.set_inter_op_parallelism_threads(problem.threads)
    network = networks.small_cnn()
    network.set_weights(problem.weights)
    return network


def _compiled(network):
    """The network as a graph: every peer runs faster on it."""
    import tensorflow as tf

    return tf.function(network)


def _numpy(perturb, x, y):
    import tensorflow as tf

    return perturb(tf.convert_to_tensor(x), tf.convert_to_tensor(y)).numpy()


def _torch_call(perturb, x, y):
    import torch

    adversarial = perturb(torch.from_numpy(x), torch.from_numpy(y))
    return adversarial.detach().numpy()


def _torch_network(problem):
    """The same network with channels first, and its `predict`."""
    import torch
    from torch import nn

    torch.set_num_threads(problem.threads)
    # On these even sizes Keras's "same" pads 1 on each side.
    network = nn.Sequential(
        nn.Conv2d(1, 16, 4, 2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 4, 2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(7 * 7 * 32, 100),
        nn.ReLU(),
        nn.Linear(100, 10),
    ).eval()
    first, second, hidden, last = problem.weights[::2]
    # Flattened, Keras's features run over channels last.
    hidden = hidden.reshape(7, 7, 32, 100).transpose(3, 2, 0, 1)
    kernels = (
        first.transpose(3, 2, 0, 1),
        second.transpose(3, 2, 0, 1),
        hidden.reshape(100, -1),
        last.T,
    )
    layers = network[0], network[2], network[5], network[7]
    biases = problem.weights[1::2]
    with torch.no_grad():
        for layer, kernel, bias in zip(layers, kernels, biases, strict=True):
            layer.weight.copy_(torch.from_numpy(kernel.copy()))
            layer.bias.copy_(torch.from_numpy(bias))

    def predict(x):
        with torch.no_grad():
            return network(torch.from_numpy(x.transpose(0, 3, 1, 2))).numpy()

    return network, predict


def _channels_first(attack):
    """A view with one channel: nothing is copied, nothing is timed."""

    def perturb(x, y):
        shape = x.shape
        return attack(x.reshape(len(x), 1, 28, 28), y).reshape(shape)

    return perturb


TOOLS = {
    "tfrobust": tfrobust,
    "tfrobust best=False": tfrobust_last,
    "tfrobust early_stop=True": tfrobust_early,
    "ART TensorFlow": art_tensorflow,
    "ART PyTorch": art_pytorch,
    "Foolbox TensorFlow": foolbox_tensorflow,
    "Foolbox PyTorch": foolbox_pytorch,
    "CleverHans TensorFlow": cleverhans_tensorflow,
    "CleverHans in tf.function": cleverhans_graph,
    "CleverHans PyTorch": cleverhans_pytorch,
    "torchattacks": torchattacks,
}

_state = {}


def start(name, problem):
    """Builds a tool, warms it up and returns the accuracy that it leaves.

    Raises:
        ValueError: If its network answers with other logits, or a point lies
            outside the threat.
    """
    attack, predict = TOOLS[name](problem)
    _state.update(attack=attack, problem=problem)
    error = np.abs(predict(problem.x[: problem.batch_size]) - problem.logits)
    if error.max() > 1e-3:
        raise ValueError(f"the logits differ by {error.max():.1e}")
    correct = []
    for x, y in problem.batches():
        point = attack(x, y)
        excess = np.abs(point - x).max() - problem.epsilon
        if excess > 1e-5 or point.min() < 0 or point.max() > 1:
            raise ValueError(f"a point leaves the threat by {excess:.1e}")
        correct.append(np.argmax(predict(point), axis=-1) == y)
    return float(np.mean(correct))


def run():
    """Attacks every batch once; returns the seconds for each."""
    problem, attack = _state["problem"], _state["attack"]
    seconds = []
    for x, y in problem.batches():
        begin = time.perf_counter()
        attack(x, y)
        seconds.append(time.perf_counter() - begin)
    return seconds
