"""A newcomer's commands: every session of the README and the guide does what it shows."""

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.kernel.postgres import EmbeddedPostgres
from tests.support import cluster
from tests.support.installation import Installation, free_port
from tools import documents
from tools.documents import Command, matches

ROOT = documents.ROOT
READMES = [ROOT / "README.md"]  # the Chinese one has the same commands, a test of the house says
GUIDE = [
    path for path in sorted((ROOT / "docs" / "guide").glob("*.md")) if documents.commands_of(path.read_text())
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="rapport-") as folder:
        Path(folder).chmod(0o711)
        place = Installation(Path(folder), free_port())
        cluster.lay(EmbeddedPostgres(place.folder / "var" / "postgres"))
        with place.running("--no-demo"):
            yield place.url


@pytest.mark.journey
@pytest.mark.slow
@pytest.mark.parametrize("path", [*READMES, *GUIDE], ids=lambda path: path.stem)
def test_a_session_prints_what_the_document_shows(path: Path, url: str):
    commands = documents.play(path, url)
    assert commands
    assert not documents.report(path, commands), "\n\n".join(documents.report(path, commands))


def test_every_page_of_the_guide_for_users_has_a_session():
    without = {path.stem for path in (ROOT / "docs" / "guide").glob("*.md")} - {path.stem for path in GUIDE}
    assert without == {"README", "add-a-module", "operate-tenants", "start-and-stop"}


def test_every_operation_that_the_documents_call_is_one_of_the_api():
    """Also where a command is only mentioned."""
    described = json.loads((ROOT / "openapi" / "openapi.json").read_text())
    paths = [re.sub(r"\{\w+\}", "[^/]+", path) for path in described["paths"]]
    found = set()
    for path in [*READMES, *GUIDE]:
        found |= set(re.findall(r"(?:GET|POST|PUT|PATCH|DELETE) `?(/v1/[\w/{}.-]+)", path.read_text()))
    unknown = [one for one in found if not any(re.fullmatch(known, one.rstrip("/.")) for known in paths)]
    assert unknown == []


def test_a_session_is_compared_but_for_what_differs_from_run_to_run():
    expected = ["01a20be4-da3c-748a-abc1-ced1a2465976  Tom", "at 2026-11-24T04:51:19.770761Z", "…", "end …"]
    assert matches(
        expected, ["11111111-da3c-748a-abc1-ced1a2465976  Tom", "at 2030-01-01T00:00:00Z", "end 7"]
    )
    assert matches(
        expected, ["11111111-da3c-748a-abc1-ced1a2465976  Tom", "at 2030-01-01T00:00:00Z", "x", "end 8"]
    )
    assert not matches(
        expected, ["11111111-da3c-748a-abc1-ced1a2465976  Ann", "at 2030-01-01T00:00:00Z", "end 7"]
    )
    assert not matches(["one"], ["one", "two"])
    assert not matches(["one", "two"], ["one"])


def test_a_command_that_fails_or_is_not_reached_is_told():
    commands = [Command(1, "false", None), Command(2, "echo two", ["three"]), Command(3, "exit 4", None)]
    documents.run(commands, {})
    assert [command.wrong for command in commands] == [
        "ended with 1",
        "prints something else",
        "was not reached",
    ]
