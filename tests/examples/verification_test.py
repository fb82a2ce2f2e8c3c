import json

import numpy as np
import pytest

pytestmark = pytest.mark.one_keras

SMALL = (
    "--epochs=6",
    "--train_examples=400",
    "--epsilon=0.03",
    "--limit=12",
    "--radius_examples=4",
    "--box_examples=3",
    "--box_steps=5",
)


@pytest.fixture(scope="module")
def finished(script, tmp_path_factory):
    """The folder of a run."""
    folder = tmp_path_factory.mktemp("runs") / "fc1_ibp"
    options = (*SMALL, f"--model_dir={folder}")
    code, output = script("verification.py", *options)
    assert code == 0, output
    assert "Epoch 6/6" in output
    return folder


def test_errors_grow_from_clean_to_attacked_to_every_certificate(finished):
    row = json.loads((finished / "results.json").read_text())
    errors, cheap = row["errors"], row["whole test set"]
    assert 0 < cheap["clean"] <= cheap["ibp"] < 1
    certified = [
        errors[name]
        for name in ("ibp", "crown-ibp", "fast-lin", "crown", "alpha-crown")
    ]
    assert errors["clean"] <= errors["pgd"] <= errors["best"]
    assert errors["best"] <= min(certified)
    # Trained for a certificate, most of them have one.
    assert errors["best"] < 0.5


def test_radii_are_certified_within_and_beyond_epsilon(finished):
    radii = json.loads((finished / "results.json").read_text())["radii"]
    assert 0 < radii["envelope"] <= 0.03
    assert radii["envelope"] <= radii["largest, envelope"] + 1e-4
    assert radii["envelope, calls"] <= 1 < radii["largest, crown, calls"]


def test_every_pixel_has_a_radius_and_the_box_more_volume(finished):
    row = json.loads((finished / "results.json").read_text())
    assert 0 < row["boundless"]["uniform"] <= row["boxes"]["uniform"]
    for name in ("boxes", "boundless"):
        assert row[name]["uniform"] < row[name]["non-uniform"]
        with np.load(finished / f"{name}.npz") as stored:
            assert stored["radii"].shape == (3, 8, 8, 1)
            assert stored["certified"].sum() == row[name]["certified"] > 0


def test_a_model_that_is_there_is_read_and_not_trained_again(script, tmp_path):
    (tmp_path / "model.keras").write_bytes(b"no model")
    code, output = script("verification.py", f"--model_dir={tmp_path}")
    assert code == 1
    assert "load_model" in output
    assert "Epoch" not in output
    assert (tmp_path / "model.keras").read_bytes() == b"no model"


def test_boxes_of_runs_are_drawn_and_compared_to_the_images(
    script, finished, tmp_path
):
    picture = tmp_path / "boxes.png"
    options = (f"--output={picture}", "--images=2", finished)
    code, output = script("plot_boxes.py", *options)
    assert code == 0, output
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert output.count("| fc1_ibp | 3 | ") == 1


def test_boxes_are_as_alike_as_their_patterns(script, tmp_path):
    # Two maps of each of two classes, of opposite patterns, and a cube.
    pattern = np.exp(np.random.default_rng(0).normal(size=(8, 8, 1)))
    radii = np.stack([pattern, pattern, 1 / pattern, 1 / pattern, pattern**0])
    np.savez(
        tmp_path / "boxes.npz",
        x=np.random.default_rng(1).uniform(size=radii.shape),
        y=[0, 0, 1, 1, 1],
        radii=radii,
        certified=np.full(5, True),
    )
    options = (f"--output={tmp_path / 'boxes.png'}", tmp_path)
    code, output = script("plot_boxes.py", *options)
    assert code == 0, output
    *_, row = (line for line in output.splitlines() if line.startswith("|"))
    _, _, within, across, shuffled, _ = row.split("|")
    assert (float(within), float(across)) == (1.0, -1.0)
    assert abs(float(shuffled)) < 0.3
