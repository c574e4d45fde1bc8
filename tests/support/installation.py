"""A whole installation started as a person starts it, in a folder of its own, watched from outside."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.support.waiting import PATIENCE

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Running:
    """One `rapport up`, and everything it started."""

    process: subprocess.Popen[bytes]
    output: Path
    begin: int
    tree: list[psutil.Process] = field(default_factory=list)

    @property
    def said(self) -> str:
        return self.output.read_bytes()[self.begin :].decode()

    def await_text(self, text: str, seconds: float) -> str:
        """What it has printed once `text` is there."""
        deadline = time.monotonic() + seconds
        while text not in self.said:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"no {text!r} in what it said:\n{self.said}")
            time.sleep(0.05)
        return self.said

    @property
    def serving_after(self) -> float:
        """Seconds from the command to an API that is ready, as it says itself."""
        found = re.search(r"Rapport is running \(after ([0-9.]+) s\)", self.said)
        assert found, self.said
        return float(found[1])

    def processes(self) -> list[psutil.Process]:
        """The command itself and all below it, PostgreSQL too."""
        me = psutil.Process(self.process.pid)
        return [me, *me.children(recursive=True)]

    def interrupt(self) -> list[psutil.Process]:
        """Ctrl-C; the processes that are still there when it has ended and a little later."""
        tree = self.processes()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(PATIENCE)
        return psutil.wait_procs(tree, timeout=PATIENCE)[1]

    def kill_everything(self) -> None:
        """`kill -9` of every process, the command first, so that nobody cleans up."""
        tree = self.processes()
        for process in tree:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(PATIENCE)
        assert psutil.wait_procs(tree, timeout=PATIENCE)[1] == []


@dataclass
class Installation:
    """A folder with data and a port."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, *arguments: str) -> Running:
        """`rapport up`, in the background, without anything of this test's environment but the path."""
        output = self.folder / "output"
        output.touch()
        begin = output.stat().st_size
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PYTHONPATH": str(ROOT),
            "RAPPORT_DATA_DIR": str(self.folder / "var"),
        }
        with output.open("ab") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", "up", "--port", str(self.port), *arguments],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        return Running(process, output, begin)

    @contextlib.contextmanager
    def running(
        self, *arguments: str, until: str = "Rapport is running", seconds: float = PATIENCE
    ) -> Iterator[Running]:
        """Started, and stopped whatever happens."""
        started = self.start(*arguments)
        try:
            started.await_text(until, seconds)
            yield started
        finally:
            if started.process.poll() is None:
                leftover = started.interrupt()
                for process in leftover:
                    process.kill()

    def get(self, path: str, key: str) -> Any:
        answer = httpx.get(
            self.url + path, headers={"Authorization": f"Bearer {key}"}, timeout=PATIENCE, trust_env=False
        )
        assert answer.status_code == 200, answer.text
        return answer.json()
