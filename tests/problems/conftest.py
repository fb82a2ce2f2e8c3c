"""Networks of every op that is written, and what the extra brings."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def extra():
    """Tests of this room need the extra `onnx`."""
    for name in ("onnx", "onnxruntime"):
        pytest.importorskip(name, reason="needs the extra: tfrobust[onnx]")
