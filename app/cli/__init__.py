"""The `rapport` command: run the product, look after its database, and work with it through the public API.

Commands that move customers' data (`import`, `export`, `demo`) are clients of the public API like any other:
there is no back door. Heavy imports happen inside the commands, so that `--help` answers at once.
"""

from __future__ import annotations

from app.cli.entry import app, main

__all__ = ["app", "main"]
