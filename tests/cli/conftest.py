"""The command line under test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command import Rapport, command


@pytest.fixture
def rapport(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Rapport:
    """`rapport("db", "check", DATABASE_URL=…)` → exit code and output."""
    monkeypatch.chdir(tmp_path)
    return command(monkeypatch, capsys, tmp_path / "var")
