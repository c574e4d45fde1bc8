"""`python -m app.cli` is `rapport`."""

from __future__ import annotations

import sys

from app.cli.entry import main

sys.exit(main())
