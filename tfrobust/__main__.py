"""`python -m tfrobust`, where the command `tfrobust` isn't in the path."""

import sys

from tfrobust.commands import main

if __name__ == "__main__":
    sys.exit(main())
