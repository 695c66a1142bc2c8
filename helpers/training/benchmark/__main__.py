"""`python -m helpers.training.benchmark`."""

import sys

from helpers.training.benchmark.report import main

sys.exit(main())
