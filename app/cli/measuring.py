"""`rapport bench`: measure this checkout; the arguments go to the benchmarks as they are."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import typer

from app.cli.output import fail

CHECKOUT: Final = Path(__file__).resolve().parents[2]
CONTEXT: Final[dict[str, Any]] = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "help_option_names": [],
}


def bench(context: typer.Context) -> None:
    """Measure speed against the raw limit; `rapport bench --help` lists the benchmarks."""
    if not (CHECKOUT / "bench" / "__main__.py").exists() or importlib.util.find_spec("bench") is None:
        fail("The benchmarks are not part of this installation.", "They need a checkout of the repository.")
    done = subprocess.run([sys.executable, "-m", "bench", *context.args], cwd=CHECKOUT, check=False)
    raise typer.Exit(done.returncode)
