"""Reading what TF-MOT wrote."""

import contextlib

from tfrobust.compression.tfmot import tfmot


@contextlib.contextmanager
def scope():
    """Lets Keras load pruned, clustered, quantised and one-bit layers.

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
