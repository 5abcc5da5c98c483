"""`python -m torchgauge` is `torchgauge`."""

import sys

from torchgauge.cli import main

sys.exit(main())
