"""Files of networks that TF-MOT changed."""

import contextlib
from collections.abc import Iterator

from tfrobust.compression.tfmot import is_quantized, tfmot
from tfrobust.model import RobustModel


@contextlib.contextmanager
def scope() -> Iterator[None]:
    """Lets Keras load pruned, clustered, quantised and one-bit layers.

    A `RobustModel` of pruned or clustered ones needs no scope.

    Example:
        with tfr.compression.scope():
            model = keras.models.load_model("quantized.h5")
    """
    tools = tfmot()
    from tfrobust.compression.one_bit_config import OneBitConfig
    from tfrobust.compression.pruned import Pruned

    own = {"OneBitConfig": OneBitConfig, "Pruned": Pruned}
    with (
        tools.sparsity.keras.prune_scope(),
        tools.clustering.keras.cluster_scope(),
        tools.quantization.keras.quantize_scope(own),
    ):
        yield


def _scope_of(config):
    """The scope that a configuration needs."""
    needed = any(
        module.startswith(("tensorflow_model_optimization.", __package__))
        for module in _modules(config)
    )
    return scope() if needed else contextlib.nullcontext()


def _modules(config):
    """Yields the modules of all classes in a configuration."""
    if isinstance(config, dict):
        yield config.get("module") or ""
        config = list(config.values())
    if isinstance(config, list):
        for part in config:
            yield from _modules(part)


def _check_saved(network, path):
    """Refuses to write what could not be read."""
    if path.endswith(".keras") and is_quantized(network):
        raise ValueError(
            "tf_keras cannot load .keras files of quantised layers, so none is "
            f"written. Received: {path}. Save model.network as .h5 or with "
            'save_format="tf", or call model.save_weights, as '
            "ModelCheckpoint(..., save_weights_only=True) does."
        )


# It is below, and knows nothing of TF-MOT.
RobustModel.load_scopes.append(_scope_of)
RobustModel.save_checks.append(_check_saved)
