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
NAMESPACES = ["tfrobust", "tfrobust.losses"]
NAMESPACES += [f"tfrobust.{name}" for name in PACKAGES]
TYPED = "callbacks compression layers losses objectives schedules".split()


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
        "Adversary",
        "Attack",
        "Report",
        "RobustModel",
        "Verifier",
        "certify",
        "compare",
        "evaluate",
        "export",
        "export_litert",
    }


METHODS = (
    "fit evaluate predict train_on_batch load_weights save_weights save summary"
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


RULES = {
    "Binary": "stochastic kernel_initializer kernel_regularizer seed",
    "SparseBinary": "density score_scale initializer score_regularizer seed",
}
FORMS = {
    "Dense": "units",
    "Conv2D": "filters kernel_size strides padding dilation_rate",
    "DepthwiseConv2D": (
        "kernel_size strides padding depth_multiplier dilation_rate"
    ),
}


@pytest.mark.parametrize("name", layers.__all__)
def test_a_layer_shows_the_arguments_of_its_form_and_its_rule(name):
    layer = getattr(layers, name)
    rule = next(rule for rule in sorted(RULES)[::-1] if name.startswith(rule))
    form = FORMS[name.removeprefix(rule)].split()
    shown = inspect.signature(layer).parameters.values()
    of_all = "activation name dtype trainable".split()
    names = [*form, *RULES[rule].split(), *of_all, "kwargs"]
    assert [parameter.name for parameter in shown] == names
    positional = [p.name for p in shown if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional == form
    needed = {"units": 3, "filters": 2, "kernel_size": 3}
    given = {name: needed[name] for name in form if name in needed}
    made = layer(*given.values(), seed=1, activation="relu", name="mine")
    assert (
        made.get_config() == layer.from_config(made.get_config()).get_config()
    )
    assert (made.name, made.seed) == ("mine", 1)


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
