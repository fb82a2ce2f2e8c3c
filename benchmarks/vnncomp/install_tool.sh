#!/bin/bash
# Installs tfrobust for VNN-COMP. Usage: install_tool.sh v1
set -e
[ "$1" = v1 ] || { echo "expected v1" >&2; exit 1; }
root=$(cd "$(dirname "$0")/../.." && pwd)
"${PYTHON:-python3}" -m venv "$root/.venv-vnncomp"
"$root/.venv-vnncomp/bin/pip" install "$root[onnx]"
