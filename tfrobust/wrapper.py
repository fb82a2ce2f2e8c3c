"""A model that shows of its network what Keras models show."""

from typing import Any

from tfrobust.backend import as_in_keras
from tfrobust.persistent import Persistent


class Wrapper(Persistent):
    """A model around `network`, which has the network's shapes and summary."""

    network: Any

    @property
    def input_shape(self) -> Any:
        """That of the network, the batch first."""
        return self.network.input_shape

    @property
    def output_shape(self) -> Any:
        """That of the network, the batch first."""
        return self.network.output_shape

    @property
    def trained_loss(self) -> Any:
        """The loss on the network's outputs, None before `compile`."""
        return self._plan.recipe.get("loss")

    @property
    def attacked(self) -> Any:
        """The network as adversaries see it, once compiled."""
        return self._plan.form.network(self.network)

    def count_params(self) -> int:
        return self.network.count_params()

    @as_in_keras
    def summary(self, *args, **kwargs):
        """Prints the summary of the network."""
        return self.network.summary(*args, **kwargs)
