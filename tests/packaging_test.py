"""What is built from this tree is what a user should get."""

import importlib.metadata
import pathlib
import shutil
import subprocess
import sys

import pytest

import tfrobust

pytestmark = pytest.mark.one_keras

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a clean copy of the tree, as an installed distribution."""
    room = tmp_path_factory.mktemp("wheel")
    leftovers = (".*", "build", "dist", "*.egg-info", "__pycache__")
    shutil.copytree(
        ROOT, room / "tree", ignore=shutil.ignore_patterns(*leftovers)
    )
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation"]
    subprocess.run([*build, "--outdir", room, room / "tree"], check=True)
    (path,) = room.glob("*.whl")
    (distribution,) = importlib.metadata.distributions(path=[str(path)])
    return distribution


def test_the_wheel_holds_every_file_of_the_package_and_no_other(wheel):
    held = {str(file) for file in wheel.files if ".dist-info" not in str(file)}
    package = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tfrobust").rglob("*.py")
    }
    zoo = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tfrobust" / "zoo" / "models").iterdir()
    }
    assert held == package | zoo | {"tfrobust/py.typed"}
    assert f"tfrobust/zoo/models/{tfrobust.zoo.list()[0]}.npz" in zoo


def test_the_wheel_carries_its_licence(wheel):
    assert wheel.metadata["License-Expression"] == "Apache-2.0"
    assert any(file.name == "LICENSE" for file in wheel.files)


def test_the_wheel_offers_every_extra(wheel):
    extras = set(wheel.metadata.get_all("Provides-Extra"))
    assert extras == {
        "tfmot",
        "examples",
        "notebooks",
        "serving",
        "litert",
        "onnx",
        "beam",
        "browser",
        "bench",
        "dev",
        "docs",
        "all",
    }


def test_the_wheel_installs_the_command(wheel):
    (command,) = wheel.entry_points.select(group="console_scripts")
    assert command.name == "tfrobust"
    assert command.value == "tfrobust.commands:main"


def test_the_wheel_and_the_package_have_the_same_version(wheel):
    assert wheel.version == tfrobust.__version__


def test_what_is_cited_and_told_is_this_version():
    version = tfrobust.__version__
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    told = (ROOT / "CHANGELOG.md").read_text()
    assert told.startswith(f"# Changelog\n\n## {version}")
