"""The command that verification competitions call.

Usage:
    python -m tfrobust.problems verify QUERY --network NET.onnx --timeout 60
    python -m tfrobust.problems supports --onnx-element-types

It prints one line, `sat`, `unsat`, `unknown` or `timed-out`; after `sat` each
variable with its type and shape, and its values, one a line.
"""

import sys

from tfrobust.problems.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
