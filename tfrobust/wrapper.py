"""A model that shows of its network what Keras models show."""

from typing import Any

from tfrobust.assertions import in_one_sentence
from tfrobust.backend import as_in_keras
from tfrobust.from_layer import Cut, cut
from tfrobust.persistent import Persistent


class Wrapper(Persistent):
    """A model around `network`, which has the network's shapes and summary."""

    network: Any  # No value: tf_keras tracks no attribute that a class has.

    @property
    def input_shape(self) -> Any:
        """That of the network, the batch first."""
        return self.network.input_shape

    @property
    def output_shape(self) -> Any:
        """That of the network, the batch first."""
        return self.network.output_shape

    @property
    def inputs(self) -> Any:
        """Those of the network, symbolic; None of a subclass."""
        return getattr(self.network, "inputs", None)

    @inputs.setter
    def inputs(self, value: Any) -> None:
        """Keras sets what it finds; the network knows better."""

    @property
    def outputs(self) -> Any:
        """Those of the network, symbolic; None of a subclass."""
        return getattr(self.network, "outputs", None)

    @outputs.setter
    def outputs(self, value: Any) -> None:
        """Keras sets what it finds; the network knows better."""

    @property
    def trained_loss(self) -> Any:
        """The loss on the network's outputs, None before `compile`."""
        return self._plan.recipe.get("loss")

    @property
    def trained_threats(self) -> list:
        """The threats of the objective's adversaries; none before `compile`."""
        trained = getattr(self._plan, "trained", {})
        return [adversary.threat for adversary in trained.values()]

    @as_in_keras
    @in_one_sentence()
    def test_on_batch(self, *args, **kwargs):
        """As in Keras."""
        return super().test_on_batch(*args, **kwargs)

    def seen(self) -> Any:
        """The network as adversaries see it, once compiled.

        No property: Keras would save the weights under its name.
        """
        return self._plan.form.network(self.network)

    def from_layer(self, name: str) -> Cut:
        """Cuts the network behind a layer: tokens can't move, embeddings can.

        Indices and strings have no gradient and no ball around them. What an
        embedding makes of them has: attack, bound and certify the `rest`, on
        what the `front` gives. A threat of embeddings has no valid range,
        `low=-np.inf, high=np.inf`. Training the rest leaves the front as it is.

        Args:
            name: Name of a layer that everything goes through.

        Returns:
            A `Cut` of two Keras models, `front` and `rest`, whose answers one
            after the other are those of the network: that is checked.

        Raises:
            TypeError: If the network isn't functional or Sequential.
            ValueError: If there is no such layer, something goes past it, or it
                hands on a mask, which the rest wouldn't see.

        Example:
            ```
            front, rest = model.from_layer("features")  # Or "embedding".
            vectors = front.predict(x_test)
            l2 = tfr.threats.L2(0.5, low=-np.inf, high=np.inf)
            points = tfr.attacks.PGD(l2).perturb(rest, vectors, y_test)
            ```
        """
        with self.averaged():
            return cut(self.network, name)

    def count_params(self) -> int:
        return self.network.count_params()

    @as_in_keras
    def summary(self, *args, **kwargs):
        """Prints the summary of the network."""
        return self.network.summary(*args, **kwargs)
