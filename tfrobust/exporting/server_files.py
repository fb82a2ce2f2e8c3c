"""What TensorFlow Serving is told about a folder of versions."""

import json
import os
import pathlib

from tfrobust import files

MODELS, BATCHING = "models.config", "batching.config"

_MODELS = """\
model_config_list {{
  config {{
    name: {name}
    base_path: {base_path}
    model_platform: "tensorflow"
  }}
}}
"""
# Requests wait for others at most as long as a small network takes.
_BATCHING = """\
max_batch_size {{ value: 32 }}
batch_timeout_micros {{ value: 1000 }}
max_enqueued_batches {{ value: 100 }}
num_batch_threads {{ value: {threads} }}
"""


def write(base_path):
    """Writes models.config and batching.config, unless they are there.

    They are the operator's from then on, so no export replaces them.

    Args:
        base_path: Folder of the versions of one model.
    """
    base_path = pathlib.Path(base_path).absolute()
    contents = {
        MODELS: _MODELS.format(
            name=json.dumps(base_path.name),
            base_path=json.dumps(str(base_path)),
        ),
        BATCHING: _BATCHING.format(threads=os.cpu_count() or 1),
    }
    for name, text in contents.items():
        if not (base_path / name).exists():
            with files.new_file(base_path / name) as file:
                file.write_text(text)
