"""Commands that are clients of the API: files in and out, and the demo; against a real server with a worker."""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.demo.client import Api, ApiFailure
from app.demo.generator import generate
from app.demo.large import large_plan
from app.demo.large_loader import LargeLoader
from app.demo.loader import DemoLoader
from app.demo.state import DemoState
from app.kernel.jobs import JobRunner
from app.main import Application
from tests.support.api import Company
from tests.support.command import Answer, Rapport
from tests.support.served import served

DONE, FAILED, USAGE, NO = 0, 1, 2, 3
SAMPLES = Path(__file__).resolve().parents[2] / "docs" / "samples"


@pytest.fixture
async def url(app: Application) -> AsyncIterator[str]:
    """The API on a socket, with somebody who does its jobs."""
    assert app.kernel is not None
    stop = asyncio.Event()
    worker = asyncio.create_task(JobRunner(app.kernel).run(stop))
    async with served(app) as address:
        yield address
    stop.set()
    await worker


class Shell:
    """Calls commands with the company's API key, in a thread, as the server runs on this one."""

    def __init__(self, rapport: Rapport, url: str, key: str) -> None:
        self._rapport, self._url, self.key = rapport, url, key

    async def __call__(self, *arguments: str) -> Answer:
        environment = {"RAPPORT_URL": self._url, "RAPPORT_API_KEY": self.key}
        return await asyncio.to_thread(self._rapport, *arguments, **environment)


@pytest.fixture
async def shell(rapport: Rapport, url: str, company: Company) -> Shell:
    made = await company.owner.ok("POST", "/v1/api-keys", json={"name": "Shell"})
    return Shell(rapport, url, made["key"])


async def leads(company: Company) -> list[dict[str, Any]]:
    page = await company.owner.ok("GET", "/v1/leads?limit=200&sort=name")
    found: list[dict[str, Any]] = page["data"]
    return found


# -- import ----------------------------------------------------------------------------------------------------


async def test_an_imported_file_is_there(shell: Shell, company: Company):
    answer = await shell("import", str(SAMPLES / "leads.csv"), "--object", "leads", "--json")
    assert (answer.code, answer.json["state"], answer.json["created"]) == (DONE, "completed", 20)
    assert len(await leads(company)) == 20


async def test_a_dry_run_writes_nothing(shell: Shell, company: Company):
    answer = await shell("import", str(SAMPLES / "leads.csv"), "--object", "leads", "--dry-run")
    assert answer.code == DONE
    assert "Nothing was written" in answer.out
    assert await leads(company) == []


async def test_refused_rows_come_back_with_reasons(shell: Shell, company: Company, tmp_path: Path):
    (tmp_path / "new.csv").write_text("name,email\nAnn,ann@initech.example.com\nBo,nowhere\n")
    answer = await shell("import", "new.csv", "--object", "leads")
    assert answer.code == NO
    assert "1 rows were not taken" in answer.err
    with (tmp_path / "new-failed.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [(row["name"], row["line"], row["code"]) for row in csv.DictReader(file)] == [
            ("Bo", "3", "invalid_email")
        ]
    assert [lead["name"] for lead in await leads(company)] == ["Ann"]


async def test_columns_that_mean_nothing_can_be_mapped(shell: Shell, company: Company, tmp_path: Path):
    (tmp_path / "odd.csv").write_text("xq,zz\nAnn,Initech\n")
    lost = await shell("import", "odd.csv", "--object", "leads")
    assert lost.code == NO
    assert "--map COLUMN=FIELD" in lost.err
    assert await leads(company) == []
    told = await shell("import", "odd.csv", "--object", "leads", "--map", "xq=name", "--map", "zz=")
    assert told.code == DONE
    assert [(lead["name"], lead["company"]) for lead in await leads(company)] == [("Ann", None)]


async def test_upsert_changes_what_is_known(shell: Shell, company: Company, tmp_path: Path):
    for name in ("Ann", "Anna"):
        (tmp_path / "some.csv").write_text(f"external_id,name\nX-1,{name}\n")
        command = ("import", "some.csv", "--object", "leads", "--mode", "upsert", "--key", "external_id")
        assert (await shell(*command)).code == DONE
    assert [lead["name"] for lead in await leads(company)] == ["Anna"]


# -- export ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["csv", "ndjson", "xlsx"])
async def test_what_was_exported_can_be_imported(
    shell: Shell, company: Company, rival: Company, tmp_path: Path, kind: str
):
    await shell("import", str(SAMPLES / "线索.csv"), "--object", "leads")
    written = await shell(
        "export", "--object", "leads", "--format", kind, "-o", f"out.{kind}", "--fields", "name,company,email"
    )
    assert written.code == DONE
    made = await rival.owner.ok("POST", "/v1/api-keys", json={"name": "Shell"})
    shell.key = made["key"]
    assert (await shell("import", f"out.{kind}", "--object", "leads")).code == DONE
    facts = ("name", "company", "email")
    assert [[lead[f] for f in facts] for lead in await leads(rival)] == [
        [lead[f] for f in facts] for lead in await leads(company)
    ]


async def test_a_refused_export_leaves_no_file(shell: Shell, tmp_path: Path):
    refused = await shell("export", "--object", "unicorns")
    assert refused.code == FAILED
    assert "There is no record type 'unicorns'" in refused.err
    assert names_in(tmp_path) == set()


def names_in(folder: Path) -> set[str]:
    """Files that a command left where it ran."""
    return {path.name for path in folder.iterdir() if path.is_file()}


async def test_a_place_that_cannot_be_written_is_said_before_any_work(
    shell: Shell, company: Company, tmp_path: Path
) -> None:
    nowhere, file = tmp_path / "nowhere" / "x.csv", tmp_path / "leads.csv"
    file.write_text("name\nTom Reed\n")
    for command, option in (
        (("export", "--object", "leads", "--output", nowhere), "--output"),
        (("import", file, "--object", "leads", "--errors", nowhere), "--errors"),
    ):
        found = await shell(*map(str, command))
        assert (found.code, found.out) == (FAILED, "")
        assert found.err == (
            f"Error: There is no folder {nowhere.parent}.\nMake it, or name another file with {option}.\n"
        )
    assert await leads(company) == []


async def test_a_filter_that_is_no_json_is_wrong_usage(shell: Shell):
    assert (await shell("export", "--object", "leads", "--filter", "status=new")).code == USAGE


async def test_a_wrong_key_is_said(shell: Shell):
    shell.key = "rk_live_nobody"
    answer = await shell("export", "--object", "leads")
    assert answer.code == FAILED
    assert "does not know this key" in answer.err


# -- demo ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_loading_the_demo_again_changes_nothing(url: str, tmp_path: Path):
    state = DemoState.open(tmp_path / "demo.json")
    company = generate(state.seed, accounts=12, contacts=20, leads=40, now=state.now)
    first = await load(url, state, company)
    assert (first["accounts"], first["contacts"], first["leads"]) == (12, 20, 40)
    assert first["members"] == len(company.members)
    converted = sum(lead.status == "converted" for lead in company.leads)
    assert first["converted"] == converted > 0
    facts = json.loads((tmp_path / "demo.json").read_text())
    (tmp_path / "demo.json").write_text(json.dumps(facts | {"done": []}))  # as if killed before it was noted
    assert await load(url, DemoState.open(tmp_path / "demo.json"), company) == first


async def load(url: str, state: DemoState, company: Any) -> dict[str, int]:
    async with Api(url) as api:
        loader = DemoLoader(api, state)
        loader._company = company
        await loader.load()
        assert await loader.is_there()
        key = api.as_user(state.api_key)
        counts = {
            plural: (await key.get(f"/v1/{plural}", include="total", limit=1))["total"]
            for plural in ("accounts", "contacts", "leads", "opportunities", "activities")
        }
        counts["members"] = len([one async for one in key.pages("/v1/members")])
        counts["converted"] = (await key.get("/v1/leads", status="converted", include="total"))["total"]
        return counts


@pytest.mark.slow
async def test_the_large_demo_goes_on_where_it_was(url: str, tmp_path: Path):
    plans = [replace(plan, leads=count) for plan, count in zip(large_plan(), (300, 70), strict=False)]
    path = tmp_path / "large.json"
    for _ in range(2):
        async with Api(url) as api:
            state = DemoState.open(path)
            await LargeLoader(api, state, plans).load(lambda *_: None)
            totals = [
                (await api.as_user(key).get("/v1/leads", include="total", limit=1))["total"]
                for key in state.keys.values()
            ]
        assert sorted(totals) == [70, 300]
        path.write_text(json.dumps(json.loads(path.read_text()) | {"done": []}))


async def test_an_api_failure_says_what_was_refused_and_where(url: str):
    async with Api(url) as api:
        with pytest.raises(ApiFailure, match=r"POST /v1/sessions answered 422.*email") as refused:
            await api.post("/v1/sessions", {"email": "nobody", "password": "x"})
    assert refused.value.code == "invalid"
