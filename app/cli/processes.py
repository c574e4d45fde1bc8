"""Child processes that end with the command that started them, however that ends.

They are forked, not started anew: the command has imported the product already, and importing it once instead of
three times is most of the time that a start takes. Each child leads a session of its own, so that a Ctrl-C at the
terminal reaches the command alone, which then stops them in order. If the command is killed, Linux sends them
SIGINT (PR_SET_PDEATHSIG) and they finish as usual.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn

from app.cli.output import Failure, show_failure
from app.kernel.postgres_host import dies_with_parent

_LOG_LIMIT: Final = 20_000_000
_PATIENCE: Final = 15.0
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class Child:
    """One process and the file that takes what it prints."""

    name: str
    pid: int
    log: Path
    log_start: int
    code: int | None = field(default=None, init=False)

    @property
    def running(self) -> bool:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is None

    def send(self, sign: signal.Signals) -> None:
        """Signal it, unless it has ended."""
        if self.running:  # not reaped yet, so its number is still its own
            with suppress(ProcessLookupError):
                os.kill(self.pid, sign)

    def said(self, limit: int = 2_000) -> str:
        """The end of what it printed in this run."""
        text = self.log.read_bytes()[self.log_start :].decode(errors="replace")
        return text[-limit:].strip()


def start(name: str, work: Callable[[], None], *, log: Path, environment: Mapping[str, str]) -> Child:
    """Run `work` in a child. Call it on the main thread, with no other thread and no event loop running."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > _LOG_LIMIT:
        log.replace(log.with_suffix(".log.old"))
    begin = log.stat().st_size if log.exists() else 0
    bind = dies_with_parent()  # remembers who the parent is, so it is made before the fork
    sys.stdout.flush()
    sys.stderr.flush()
    gc.freeze()  # what is there now stays shared: the collector of the child leaves it alone
    pid = os.fork()
    if pid == 0:
        _become_child(work, log, environment, bind)
    return Child(name, pid, log, begin)


def _become_child(
    work: Callable[[], None], log: Path, environment: Mapping[str, str], bind: Callable[[], None] | None
) -> NoReturn:
    """Never returns, and leaves without the parent's `atexit` work: stopping PostgreSQL is not the child's."""
    code = 1
    try:
        os.setsid()
        if bind:
            bind()
        for sign in _SIGNALS:
            signal.signal(sign, signal.default_int_handler)
        with log.open("ab") as file, Path(os.devnull).open("rb") as nothing:
            os.dup2(nothing.fileno(), 0)
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        os.environ.update(environment)
        work()
        code = 0
    except Failure as failure:
        show_failure(failure)
        code = failure.exit_code
    except KeyboardInterrupt:
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    except BaseException:  # noqa: BLE001 - the last guard of this process: it says why it ends
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def stop(children: Sequence[Child]) -> None:
    """Ask all to finish, wait, and kill those that do not."""
    for child in children:
        child.send(signal.SIGTERM)
    deadline = time.monotonic() + _PATIENCE
    while any(child.running for child in children) and time.monotonic() < deadline:
        time.sleep(0.02)
    for child in children:
        child.send(signal.SIGKILL)
    while any(child.running for child in children):
        time.sleep(0.02)
