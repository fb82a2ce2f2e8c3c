"""What a user sees of the package: names, arguments and their types."""

import importlib
import inspect
import pathlib
import types

import pytest

import tfrobust as tfr
from tfrobust import layers
from tfrobust.backend import keras

ROOM = pathlib.Path(tfr.__file__).parent
PACKAGES = sorted(path.parent.name for path in ROOM.glob("*/__init__.py"))
NAMESPACES = ["tfrobust"]
NAMESPACES += [f"tfrobust.{name}" for name in PACKAGES]
TYPED = (
    "analysis callbacks compression corruptions initializers instances layers "
    "losses objectives problems schedules zoo"
).split()


@pytest.mark.parametrize("name", NAMESPACES)
def test_what_is_shown_of_a_package_is_what_is_public(name):
    package = importlib.import_module(name)
    assert dir(package) == sorted(package.__all__)
    for public in package.__all__:
        assert hasattr(package, public)


def test_the_public_names_are_rooms_and_what_workflows_begin_with():
    modules = {
        name
        for name in dir(tfr)
        if isinstance(getattr(tfr, name), types.ModuleType)
    }
    assert modules == {*TYPED, "attacks", "threats", "verifiers"}
    assert set(dir(tfr)) - modules == {
        "AdversarialSet",
        "Adversary",
        "Attack",
        "Joined",
        "Report",
        "RobustModel",
        "Verifier",
        "attack",
        "bounds",
        "certify",
        "compare",
        "ensemble",
        "evaluate",
        "export",
        "export_litert",
        "logits_of",
    }


METHODS = (
    "fit evaluate predict train_on_batch load_weights save_weights save export "
    "summary"
)


@pytest.mark.parametrize("name", METHODS.split())
def test_methods_show_the_arguments_of_keras(name):
    ours, theirs = (
        inspect.signature(getattr(model, name))
        for model in (tfr.RobustModel, keras.Model)
    )
    assert ours == theirs


def test_compile_shows_the_arguments_that_both_kerases_have():
    shown = inspect.signature(tfr.RobustModel.compile).parameters
    assert {"optimizer", "objective", "run_eagerly"} <= set(shown)


NEEDED = {"units": 3, "filters": 2, "kernel_size": 3, "max_shift": 1}


@pytest.mark.parametrize("name", layers.__all__)
def test_a_layer_shows_all_that_its_configuration_holds(name):
    layer = getattr(layers, name)
    *shown, rest = inspect.signature(layer).parameters.values()
    assert rest.kind is rest.VAR_KEYWORD
    positional = [p.name for p in shown if p.kind is p.POSITIONAL_OR_KEYWORD]
    needed = [p.name for p in shown if p.default is p.empty]
    assert positional[: len(needed)] == needed
    drawn = {"seed": 1} if "seed" in {p.name for p in shown} else {}
    made = layer(*map(NEEDED.get, needed), **drawn, name="mine")
    config = made.get_config()
    assert {*drawn, *needed} < set(config)
    assert ("activation" in config) == hasattr(layer, "kernel")
    assert set(config) <= {parameter.name for parameter in shown}
    assert layer.from_config(config).get_config() == config
    with pytest.raises(TypeError):
        layer(*range(1, len(positional) + 2))


def untyped(function):
    """The arguments of a function without a type; keywords of others pass."""
    return [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.annotation is parameter.empty
        and name != "self"
        and parameter.kind is not parameter.VAR_KEYWORD
    ]


def public_functions(room):
    """Yields what a user calls in a room: functions, classes, methods."""
    for name in room.__all__:
        thing = getattr(room, name)
        if inspect.isclass(thing):
            yield f"{name}", thing
            for key, method in vars(thing).items():
                if inspect.isfunction(method) and not key.startswith("_"):
                    yield f"{name}.{key}", method
        elif inspect.isfunction(thing):
            yield name, thing


@pytest.mark.parametrize("name", TYPED)
def test_public_arguments_have_types(name):
    room = getattr(tfr, name)
    found = {
        path: missing
        for path, function in public_functions(room)
        if (missing := untyped(function))
    }
    assert not found


def test_the_arguments_of_a_robust_model_have_types():
    for name in "compile call train_step test_step get_config".split():
        assert not untyped(getattr(tfr.RobustModel, name))
    assert not untyped(tfr.RobustModel)
