import sys

import numpy as np
import pytest

from tfrobust.threats import Box
from tfrobust.verifiers.box_pictures import save_histogram, save_map
from tfrobust.verifiers.certified_boxes import CertifiedBoxes

pytestmark = pytest.mark.keras_free

pytest.importorskip("matplotlib")


def boxes(shape, certified=True):
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, (2, *shape)).astype(np.float32)
    return CertifiedBoxes(
        x=x,
        threat=Box(rng.uniform(0, 0.3, x.shape)),
        uniform=np.array([0.1, 0.1], np.float32),
        certified=np.array([certified, False]),
        free=np.ones_like(x),
    )


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 1), (5, 4, 3)])
def test_a_map_of_an_image_is_written(tmp_path, shape):
    save_map(boxes(shape), tmp_path / "map.svg", example=1)
    assert "</svg>" in (tmp_path / "map.svg").read_text()


def test_a_histogram_is_written_in_the_format_of_its_name(tmp_path):
    save_histogram(boxes((7,)), tmp_path / "radii.png")
    assert (tmp_path / "radii.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_that_fails_leaves_the_old_one(tmp_path):
    path = tmp_path / "radii.nonsense"
    path.write_text("old")
    with pytest.raises(ValueError, match="nonsense"):
        save_histogram(boxes((7,)), path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "old"


def test_what_cannot_be_drawn_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"height.*\(2, 7\).*save_histogram"):
        save_map(boxes((7,)), tmp_path / "map.svg")
    with pytest.raises(ValueError, match="none is certified"):
        save_histogram(boxes((7,), certified=False), tmp_path / "radii.svg")


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"tfrobust\[examples\]"):
        save_histogram(boxes((7,)), tmp_path / "radii.svg")
