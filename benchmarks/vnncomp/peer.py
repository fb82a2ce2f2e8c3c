"""Other tools, asked by the scripts that VNN-COMP calls."""

import pathlib
import subprocess
import tempfile

import numpy as np

from tfrobust import problems


def script_of(scripts):
    """The script in a tool's folder that is called for each problem.

    Raises:
        FileNotFoundError: If there is no such script.
    """
    script = pathlib.Path(scripts) / "run_instance.sh"
    if not script.exists():
        raise FileNotFoundError(
            f"A tool's folder must hold run_instance.sh. Received: {scripts}"
        )
    return script


def ask(script, network, x, y, threat, timeout):
    """What a tool answers of each example: sat, unsat or anything else.

    Each is a process of its own, as in the competition.

    Args:
        script: What `script_of` found.
        network: A network of logits.
        x: Images.
        y: Labels that shall win.
        threat: A box.
        timeout: Seconds for each.
    """
    answers = []
    with tempfile.TemporaryDirectory() as folder:
        made = problems.write(network, x, y, threat, f"{folder}/asked", timeout)
        model, result = (
            made.folder / "onnx/model.onnx",
            pathlib.Path(folder, "out"),
        )
        for k in range(len(x)):
            query = made.folder / "vnnlib/1.0" / f"{k}.vnnlib"
            result.unlink(missing_ok=True)
            given = map(str, (model, query, result, timeout))
            command = ["bash", str(script), "v1", "digits", *given]
            subprocess.run(command, capture_output=True, check=False)
            words = result.read_text().split() if result.exists() else []
            answers.append(words[0] if words else "error")
    return np.array(answers)
