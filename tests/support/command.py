"""The command line, called as a shell would, in this process."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.cli import main


@dataclass(frozen=True)
class Answer:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Rapport = Callable[..., Answer]


def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data_dir: Path) -> Rapport:
    """Runs `rapport …` with settings of its own: `rapport("db", "check", DATABASE_URL="…")`."""

    def run(*arguments: str, **environment: str) -> Answer:
        with monkeypatch.context() as context:
            context.setenv("RAPPORT_DATA_DIR", str(data_dir))
            for name, value in environment.items():
                context.setenv(name, value)
            context.setattr(sys, "argv", ["rapport", *arguments])
            capsys.readouterr()
            code = main()
            said = capsys.readouterr()
        return Answer(code, said.out, said.err)

    return run
