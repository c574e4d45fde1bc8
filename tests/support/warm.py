"""Processes of the product that begin warm: forked from one that has imported everything already.

Tests that kill processes start dozens of them, and most of a start is importing. What runs is the same command with the
same environment in a process of its own, which dies by the same signals. This module is also the program it forks from.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.waiting import PATIENCE

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Started:
    """A process of somebody else's making, known by its id."""

    pid: int

    def kill(self) -> None:
        """SIGKILL: nothing is said, nothing is finished. Returns when it has gone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        end = time.monotonic() + PATIENCE
        while self.runs():
            assert time.monotonic() < end, f"process {self.pid} outlives a kill"
            time.sleep(0.005)

    def runs(self) -> bool:
        """Whether it is still there."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True


def start(arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> Started:
    """Run `rapport …` with this environment and nothing else of it; what it says is added to `log`."""
    warm = _warm()
    assert warm.stdin is not None
    assert warm.stdout is not None
    order = {"arguments": list(arguments), "environment": dict(environment), "log": str(log)}
    warm.stdin.write(json.dumps(order) + "\n")
    warm.stdin.flush()
    return Started(int(warm.stdout.readline()))


@cache
def _warm() -> subprocess.Popen[str]:
    """The process that is forked, one per test process; it ends when nobody can write to it any more."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.warm"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(process.communicate)  # closes both ends and waits
    return process


def _import_all() -> None:
    import uvicorn.protocols.http.httptools_impl
    import uvloop

    import app.cli.entry
    import app.main
    import app.worker

    assert all((uvicorn.protocols.http.httptools_impl, uvloop, app.cli.entry, app.main, app.worker))


def _serve_orders() -> int:
    """Fork once per order and answer with the id; in each fork the exit code of what was ordered."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead are nobody's to bury
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            return _run(json.loads(line))
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
    return 0


def _run(order: dict[str, Any]) -> int:
    from app.cli.entry import main

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    random.seed()
    log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for ours, theirs in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(ours, theirs)
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.argv = ["rapport", *order["arguments"]]
    return main()


if __name__ == "__main__":
    _import_all()
    gc.collect()
    gc.freeze()
    sys.exit(_serve_orders())
