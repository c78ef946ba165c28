"""``python -m bothways.cli``."""

import sys

from bothways.cli.main import main

sys.exit(main())
