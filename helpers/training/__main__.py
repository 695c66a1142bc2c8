"""`python -m helpers.training`."""

import sys

from helpers.training.command import main

sys.exit(main())
