"""The folder of a training run: its flags, its history, its models.

Usage:
    runs.begin(folder, resume=FLAGS.resume, free=["epochs"])
    model.fit(x, y, callbacks=runs.callbacks(folder, "val_pgd_accuracy"))
    report.save(runs.unused(folder / "report"))
"""

import csv
import functools
import itertools
import pathlib

from absl import app, flags

from tfrobust.backend import keras

LAST, BEST = "model.keras", "best.keras"
# Of a learning rate, by name.
OPTIMIZERS = {
    "sgd": functools.partial(keras.optimizers.SGD, momentum=0.9),
    "adam": keras.optimizers.Adam,
}


def begin(folder, resume, free):
    """Makes the folder, and keeps the program's flags in its flags.txt.

    Args:
        folder: The folder, new or empty unless `resume`.
        resume: Whether to go on with the run that is there.
        free: Names of the flags that may differ when a run goes on.

    Raises:
        app.UsageError: If the folder holds a run and `resume` is false, or the
            run had other flags.
    """
    kept, path = folder.exists() and any(folder.iterdir()), folder / "flags.txt"
    if kept and not resume:
        raise app.UsageError(
            f"--model_dir={folder} holds a run. Pass --resume to go on with "
            "it, or name another folder."
        )
    own = [
        flag
        for flag in flags.FLAGS.get_flags_for_module("__main__")
        if flag.name not in ("mode", "resume") and flag.value is not None
    ]
    if kept and path.exists():
        fixed = {flag.serialize() for flag in own if flag.name not in free}
        changed = sorted(fixed.difference(path.read_text().splitlines()))
        if changed:
            raise app.UsageError(
                f"The run in {folder} was started without {' '.join(changed)}. "
                f"To go on with it, pass --flagfile={path} --resume"
            )
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{flag.serialize()}\n" for flag in own))


def command(script):
    """The command that runs a script with the flags of this process.

    Those at their defaults are left out, and so are those that say only where
    files lie.

    Args:
        script: The path of the script, in the folder of examples.
    """
    given = {
        flag.name: flag.serialize()
        for flag in flags.FLAGS.get_flags_for_module("__main__")
        if flag.value != flag.default
        and flag.name not in ("mode", "resume", "table", "zoo")
    }
    for name in given.keys() & {"data_dir", "model_dir"}:
        folder = f"runs/{pathlib.Path(flags.FLAGS[name].value).name}"
        given[name] = f"--{name}={'data' if name == 'data_dir' else folder}"
    script = f"python examples/{pathlib.Path(script).name}"
    return " ".join([script, *given.values()])


def callbacks(folder, monitor):
    """Keras's callbacks that fill the folder; `monitor` chooses the best."""
    return [
        keras.callbacks.BackupAndRestore(
            str(folder / "backup"), delete_checkpoint=False
        ),
        keras.callbacks.CSVLogger(str(folder / "history.csv"), append=True),
        keras.callbacks.TensorBoard(str(folder / "logs")),
        keras.callbacks.ModelCheckpoint(
            str(folder / BEST),
            monitor=monitor,
            mode="max",
            save_best_only=True,
            # A run that goes on must not forget its best model.
            initial_value_threshold=_best(folder / "history.csv", monitor),
        ),
    ]


def write(path, header, rows):
    """Writes a CSV file."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def unused(path):
    """The path, or the first of path-2, path-3, ... that does not exist."""
    names = itertools.chain([path.name], _numbered(path.name))
    return next(p for p in map(path.with_name, names) if not p.exists())


def _best(path, metric):
    if not path.exists():
        return None
    with path.open() as file:
        values = [float(row[metric]) for row in csv.DictReader(file)]
    return max(values, default=None)


def _numbered(name):
    return (f"{name}-{number}" for number in itertools.count(2))


def append(path, rows):
    """Adds the program's flags and rows to a CSV file, which may be new.

    One of other columns is left alone: rows go to table-2.csv beside it.

    Args:
        path: The file.
        rows: Dictionaries of the same keys.
    """
    own = flags.FLAGS.get_key_flags_for_module("__main__")
    rows = [{**{flag.name: flag.value for flag in own}, **row} for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    names = itertools.chain([path.stem], _numbered(path.stem))
    tables = (path.with_stem(name) for name in names)
    table = next(t for t in tables if _columns(t) in (None, list(rows[0])))
    if table != path:
        print(f"{path} has other columns, so the results are in {table}.")
    new = not table.exists()
    with table.open("a", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        if new:
            writer.writeheader()
        writer.writerows(rows)


def _columns(path):
    """The names in a CSV file's first line; None if there is no file."""
    if not path.exists():
        return None
    with path.open(newline="") as file:
        return next(csv.reader(file), [])
