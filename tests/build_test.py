"""BUILD is the diagram of the package, and the imports must agree with it.

Each check takes the root of a source tree and returns a list of complaints.
"""

import ast
import collections
import pathlib

import pytest

pytestmark = pytest.mark.keras_free

ROOT = pathlib.Path(__file__).parents[1]

# The one place that may import it; a folder ends with a slash.
HOMES = {
    "keras": "tfrobust/backend.py",
    "tf_keras": "tfrobust/backend.py",
    "tensorflow_model_optimization": "tfrobust/compression/",
}

Room = collections.namedtuple("Room", ["files", "deps"])


def rooms(root):
    """Reads BUILD: a `Room` for each name, in the order of the file."""
    found = {}
    for node in ast.walk(ast.parse((root / "BUILD").read_text())):
        if isinstance(node, ast.Call) and node.func.id == "py_library":
            room = {argument.arg: argument.value for argument in node.keywords}
            found[ast.literal_eval(room["name"])] = Room(
                files=sources(root, room["srcs"]),
                deps={dep.lstrip(":") for dep in strings(room.get("deps"))},
            )
    return found


def sources(root, srcs):
    """The files of a list of paths, or of a `glob` of patterns."""
    if not isinstance(srcs, ast.Call):
        return set(strings(srcs))
    patterns = strings(srcs.args[0])
    return {file for pattern in patterns for file in files(root, pattern)}


def strings(node):
    return ast.literal_eval(node) if node else []


def files(root, pattern):
    return {path.relative_to(root).as_posix() for path in root.glob(pattern)}


def imports(root, file):
    """Yields the dotted path of every name that `file` imports."""
    for node in ast.walk(ast.parse((root / file).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def owner(name, owners):
    """The room of the module, or else of the package, that holds `name`."""
    parts = name.split(".")
    while parts:
        path = "/".join(parts)
        for file in (f"{path}.py", f"{path}/__init__.py"):
            if file in owners:
                return owners[file]
        parts.pop()
    return None


def edges(root):
    """The rooms that each room imports, by name."""
    plan = rooms(root)
    owners = {file: name for name, room in plan.items() for file in room.files}
    return {
        name: {
            owner(imported, owners)
            for file in room.files & files(root, "tfrobust/**/*.py")
            for imported in imports(root, file)
        }
        - {name, None}
        for name, room in plan.items()
    }


def undeclared_edges(root):
    plan = rooms(root)
    return [
        f"{name} imports {other}, which its deps in BUILD do not list."
        for name, others in edges(root).items()
        for other in sorted(others - plan[name].deps)
    ]


def unused_edges(root):
    actual = edges(root)
    return [
        f"{name} lists {dep} in its deps, but imports nothing from it."
        for name, room in rooms(root).items()
        for dep in sorted(room.deps - actual[name])
    ]


def upward_edges(root):
    """A dep must be listed before its room, so no cycle can be written."""
    complaints, above = [], set()
    for name, room in rooms(root).items():
        for dep in sorted(room.deps - above):
            complaints.append(f"{name} stands on {dep}, not above it in BUILD.")
        above.add(name)
    return complaints


def misowned_files(root):
    """A file must have one owner, and what BUILD lists must exist."""
    listed = [file for room in rooms(root).values() for file in room.files]
    every = files(root, "tfrobust/**/*.py") | set(listed)
    owned = collections.Counter(listed)
    return [
        f"{file} has {owned[file]} owners in BUILD."
        for file in sorted(every)
        if owned[file] != 1
    ] + [
        f"{name} lists {file}, which does not exist."
        for name, room in rooms(root).items()
        for file in sorted(room.files) or ["nothing"]
        if not (root / file).exists()
    ]


def strayed_imports(root):
    return [
        f"{file} imports {imported}; only {home} may."
        for file in sorted(files(root, "tfrobust/**/*.py"))
        for imported in imports(root, file)
        if (home := HOMES.get(imported.split(".")[0]))
        and not file.startswith(home)
    ]


def uses_of_tf_keras(root):
    return [
        f"{file} uses {name}; import keras from tfrobust.backend."
        for folder in ("tfrobust", "examples", "benchmarks", "tests")
        for file in sorted(files(root, f"{folder}/**/*.py"))
        for name in [*imports(root, file), *attributes(root, file)]
        if f"{name}.".startswith(("tf.keras.", "tensorflow.keras."))
    ]


def numbers_of_norms(root):
    """A threat is asked what it can do, not for the p of its norm."""
    return [
        f"{file} reads {name}; let the threat do what it is read for."
        for file in sorted(files(root, "tfrobust/**/*.py"))
        for name in attributes(root, file)
        if f".{name}".endswith(".threat.order")
    ]


def attributes(root, file):
    """Yields every dotted expression in the code of `file`."""
    for node in ast.walk(ast.parse((root / file).read_text())):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node)


def report(complaints):
    if complaints:
        pytest.fail("\n".join(complaints), pytrace=False)


def test_every_import_between_rooms_is_declared():
    report(undeclared_edges(ROOT))


def test_every_declared_edge_is_used():
    report(unused_edges(ROOT))


def test_no_room_stands_on_a_later_one_so_there_is_no_cycle():
    report(upward_edges(ROOT))


def test_every_file_belongs_to_exactly_one_room():
    report(misowned_files(ROOT))


def test_only_their_homes_import_keras_and_tfmot():
    report(strayed_imports(ROOT))


def test_nobody_uses_the_keras_inside_tensorflow():
    report(uses_of_tf_keras(ROOT))


def test_nobody_asks_a_threat_for_the_number_of_its_norm():
    report(numbers_of_norms(ROOT))


SOUND = {
    "BUILD": (
        'py_library(name = "low", srcs = ["tfrobust/low.py"])\n'
        'py_library(name = "high", srcs = glob(["tfrobust/high/*.py"]),'
        ' deps = [":low"])\n'
    ),
    "tfrobust/low.py": "import os\n",
    "tfrobust/high/__init__.py": "from tfrobust.low import cellar\n",
}
CYCLE = SOUND["BUILD"].replace("low.py", 'low.py"], deps = [":high')
EMPTY = SOUND["BUILD"].replace("high/", "attic/")
ADDED = SOUND["BUILD"].replace("low.py", 'low.py", "tfrobust/lost.py')


@pytest.mark.parametrize(
    "check, file, text",
    [
        (undeclared_edges, "tfrobust/low.py", "import tfrobust.high"),
        (undeclared_edges, "tfrobust/low.py", "from tfrobust import high"),
        (undeclared_edges, "tfrobust/low.py", "def f(): import tfrobust.high"),
        (unused_edges, "tfrobust/high/__init__.py", ""),
        (upward_edges, "BUILD", CYCLE),
        (misowned_files, "tfrobust/new.py", ""),
        (misowned_files, "BUILD", EMPTY),
        (misowned_files, "BUILD", ADDED),
        (strayed_imports, "tfrobust/low.py", "from keras import layers"),
        (
            strayed_imports,
            "tfrobust/low.py",
            "import tensorflow_model_optimization as tfmot",
        ),
        (uses_of_tf_keras, "tfrobust/low.py", "x = tf.keras.Model"),
        (uses_of_tf_keras, "examples/x.py", "from tensorflow import keras"),
        (uses_of_tf_keras, "tests/x.py", "import tensorflow.keras.layers as l"),
        (numbers_of_norms, "tfrobust/low.py", "p = threat.order"),
        (numbers_of_norms, "tfrobust/low.py", "p = attack.threat.order == 1"),
    ],
)
def test_a_check_passes_a_sound_tree_and_catches_a_flaw(
    tmp_path, check, file, text
):
    write(tmp_path, SOUND)
    assert not check(tmp_path)
    write(tmp_path, {file: text})
    assert check(tmp_path)


def write(root, texts):
    for file, text in texts.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text)
