"""The worked example of docs/guide/add-a-module.md is built as printed and used through HTTP."""

from __future__ import annotations

import importlib
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

import app.modules
from app.kernel.models import Base
from app.kernel.registry import Module
from migrations import support
from tests.support.api import Company, running, sign_up

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "add-a-module.md"
BLOCK = re.compile(r"```python title=(\S+)\n(.*?)```", re.DOTALL)


FILES = dict(BLOCK.findall(GUIDE.read_text()))


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Module]:
    """The guide's module, written to files and imported as part of the product."""
    package = tmp_path_factory.mktemp("modules") / "fleet"
    package.mkdir()
    (package / "__init__.py").touch()
    for name in ("models", "schemas", "service", "router", "module"):
        (package / f"{name}.py").write_text(FILES[f"app/modules/fleet/{name}.py"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app.modules, "__path__", [*app.modules.__path__, str(package.parent)])
        yield importlib.import_module("app.modules.fleet.module").MODULE
    Base.metadata.remove(Base.metadata.tables["fleet.vehicles"])


@pytest.fixture
async def company(
    own_database: str, fleet: Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Company]:
    """A company in an application that has the guide's module."""
    await _migrate(own_database, FILES["migrations/versions/9999_fleet.py"], monkeypatch)
    async with running(own_database, tmp_path / "data", (fleet,)) as application:
        yield await sign_up(application)


async def _migrate(url: str, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    statements: list[str] = []

    class Collect:
        def execute(self, statement: str) -> None:
            statements.append(statement)

    monkeypatch.setattr(support, "op", Collect())
    names: dict[str, object] = {}
    exec(compile(source, "9999_fleet.py", "exec"), names)
    names["upgrade"]()  # type: ignore[operator]
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def test_the_example_is_shorter_than_the_guide_promises() -> None:
    assert len(FILES) == 6
    lines = sum(len([line for line in text.splitlines() if line.strip()]) for text in FILES.values())
    assert lines < 200


async def test_the_example_does_all_that_the_guide_promises(company: Company) -> None:
    owner = company.owner
    van = {"name": "Transit van", "plate": "sh-a1234", "daily_rate": {"amount": "320.00", "currency": "CNY"}}
    made = await owner.post("/v1/vehicles", van)
    assert made.status_code == 201
    record = made.json()
    assert record["plate"] == "SH-A1234"
    assert record["daily_rate"] == {"amount": "320.00", "currency": "CNY"}

    again = await owner.post("/v1/vehicles", van)
    assert (again.status_code, again.json()["errors"][0]["pointer"]) == (409, "/plate")

    listed = await owner.ok(
        "GET", "/v1/vehicles", params={"status": "available", "sort": "name", "q": "transit"}
    )
    assert [vehicle["id"] for vehicle in listed["data"]] == [record["id"]]

    path = f"/v1/vehicles/{record['id']}"
    retired = await owner.patch(path, {"status": "retired"}, if_match=1)
    assert (retired.status_code, retired.json()["version"]) == (200, 2)
    refused = await owner.patch(path, {"name": "Van"}, if_match=2)
    assert (refused.status_code, refused.json()["code"]) == (409, "vehicle_retired")
    assert (await owner.ok("GET", path))["name"] == "Transit van"

    history = await owner.ok("GET", f"{path}/history")
    assert [entry["action"] for entry in history["data"]] == ["updated", "created"]
    assert history["data"][0]["changes"]["status"] == ["available", "retired"]


async def test_the_example_is_guarded_like_every_module(company: Company) -> None:
    made = await company.owner.ok("POST", "/v1/vehicles", json={"name": "Van", "plate": "B-1"})
    rival = await sign_up(company.app)
    path = f"/v1/vehicles/{made['id']}"
    assert (await rival.owner.get(path)).status_code == 404
    assert (await rival.owner.delete(path, if_match=1)).status_code == 404
    assert (await company.owner.ok("GET", path))["version"] == 1
