#!/bin/bash
# Usage: run_instance.sh v1 CATEGORY NETWORK QUERY RESULT TIMEOUT
# PYTHON names the interpreter; that of install_tool.sh unless it is set.
[ "$1" = v1 ] || { echo "expected v1" >&2; exit 1; }
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-$root/.venv-vnncomp/bin/python}
export TF_CPP_MIN_LOG_LEVEL=3
# What fails is no answer, and an answer is whole.
if "$python" -m tfrobust.problems verify "$4" --network "$3" \
    --timeout "$6" > "$5.part"; then
    mv "$5.part" "$5"
else
    rm -f "$5.part"
    echo error > "$5"
fi
