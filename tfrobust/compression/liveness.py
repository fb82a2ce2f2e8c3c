"""Which channels of a network its outputs depend on."""

import math

import numpy as np

from tfrobust.backend import keras
from tfrobust.compression import channels
from tfrobust.compression.channels import Channels
from tfrobust.compression.rebuilding import run

layers = keras.layers


class Liveness:
    """Constant channels, and the channels on which the outputs depend.

    Constants follow from the first layer to the last. Who reads what follows
    from the last to the first, until nothing changes. Layers that are unknown
    here, nested models, and layers that are called more than once, keep all
    channels of their inputs and outputs.

    Args:
        model: What `rebuilding.prepared` returned.
        reset_means: Whether normalisation turns a constant into its offset, as
            it does in training.

    Attributes:
        given: Dictionary of a layer's name to the `Channels` of its first
            input.
        produced: The same of its output.
        means: Dictionary of a normalisation's name to its moving means after
            they are reset.
    """

    def __init__(self, model: keras.Model, reset_means: bool = False):
        self._reset_means = reset_means
        self._parents: list[int] = []  # Of groups; a root is its own.
        self._pinned: list[int] = []
        self._readers: list[tuple] = []
        self.given: dict[str, Channels] = {}
        self.produced: dict[str, Channels] = {}
        self.means: dict[str, np.ndarray] = {}
        self._once = _called_once(model)
        steps = {layer.name: self._step(layer) for layer in model.layers}
        inputs = self._new(tuple(model.input_shape[1:]))
        outputs = run(model, steps, inputs)
        self._pinned += [*inputs.groups, *outputs.groups]
        self._roots = np.array([self._root(g) for g in self._parents])
        self._live = np.zeros(len(self._parents), np.bool_)
        self._live[self._roots[self._pinned]] = True
        self._settle()

    def stays(self, tensor: Channels) -> np.ndarray:
        """Marks the channels of a tensor that stay."""
        return self._live[self._roots[tensor.groups]]

    def _step(self, layer):
        """A function that follows channels through a layer."""

        def step(inputs):
            given = inputs if isinstance(inputs, list) else [inputs]
            shape = _output_shape(layer, given)
            if layer.name in self._once and channels.is_known(layer, given):
                produced = self._known(layer, given, shape)
            else:
                produced = self._new(shape)
                self._pinned += [
                    group for x in (*given, produced) for group in x.groups
                ]
            self.given[layer.name] = given[0]
            self.produced[layer.name] = produced
            return produced

        return step

    def _known(self, layer, given, shape):
        kind, first = type(layer), given[0]
        if kind in (layers.Conv2D, layers.Dense):
            constants = channels.kernel_constants(layer, first)
            produced = self._new(shape, constants)
            readers = channels.reads(layer, first), first, produced
            self._readers.append(readers)
            return produced
        if kind is layers.DepthwiseConv2D:
            constants = channels.depthwise_constants(layer, first)
            groups = np.repeat(first.groups, layer.depth_multiplier)
            return Channels(shape, groups, constants)
        if kind is layers.Flatten:
            positions = math.prod(first.shape[:-1])
            groups = np.tile(first.groups, positions)
            return Channels(shape, groups, np.tile(first.constants, positions))
        if kind is layers.Concatenate:
            groups = np.concatenate([x.groups for x in given])
            constants = np.concatenate([x.constants for x in given])
            return Channels(shape, groups, constants)
        for other in given[1:]:
            self._tie(first.groups, other.groups)
        return Channels(shape, first.groups, self._passed(layer, given))

    def _passed(self, layer, given):
        """The constants behind a layer that keeps channels apart."""
        if type(layer) in channels.SPATIAL:
            return channels.spatial_constants(layer, given[0])
        if type(layer) is layers.BatchNormalization and self._reset_means:
            old = np.asarray(layer.moving_mean)
            means = np.where(given[0].varies, old, given[0].constants)
            self.means[layer.name] = means
            offset = layer.beta if layer.center else np.zeros(len(means))
            return np.where(given[0].varies, np.nan, np.asarray(offset))
        return channels.channelwise_constants(layer, given)

    def _new(self, shape, constants=None):
        """Channels in groups of their own."""
        count, begin = (shape or (1,))[-1], len(self._parents)
        self._parents += range(begin, begin + count)
        groups = np.arange(begin, begin + count)
        if constants is None:
            constants = np.full(count, np.nan)
        return Channels(shape, groups, constants)

    def _tie(self, *groups):
        for one, other in zip(*groups, strict=True):
            self._parents[self._root(one)] = self._root(other)

    def _root(self, group):
        while self._parents[group] != group:
            group = self._parents[group]
        return group

    def _settle(self):
        """Adds what the live channels read, until nothing changes."""
        settled = False
        while not settled:
            before = self._live.copy()
            for reads, given, produced in self._readers[::-1]:
                needed = np.any(reads[:, self.stays(produced)], axis=1)
                self._live[self._roots[given.groups[needed]]] = True
            # Keras has no layers without channels.
            for tensor in self.produced.values():
                if not np.any(self.stays(tensor)):
                    self._live[self._roots[tensor.groups[0]]] = True
            settled = np.array_equal(before, self._live)


def _called_once(model):
    """The names of the layers that are."""
    calls: list[str] = []
    run(model, {x.name: _counter(x.name, calls) for x in model.layers}, None)
    return {name for name in calls if calls.count(name) == 1}


def _counter(name, calls):
    return lambda inputs: calls.append(name)


def _output_shape(layer, given):
    if isinstance(layer, keras.Model):  # It may hold operations.
        return tuple(layer.output.shape)[1:]
    shapes = [(None, *x.shape) for x in given]
    shape = layer.compute_output_shape(shapes if len(shapes) > 1 else shapes[0])
    return tuple(shape)[1:]
