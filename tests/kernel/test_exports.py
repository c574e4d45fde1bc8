"""Exports: what comes out is what may be seen, safe for spreadsheets, and comes back in by import."""

from __future__ import annotations

import json
from typing import Any

from app.kernel.jobs import JobRunner
from app.main import Application
from tests.support.api import Client


async def toys(owner: Client) -> None:
    for name, pieces in (("=1+1", 1), ("Robot", 2), ("木偶", 3)):
        body = {
            "name": name,
            "pieces": pieces,
            "price": {"amount": f"{pieces}.50", "currency": "CNY"},
            "tags": ["a", "b"],
        }
        await owner.ok("POST", "/v1/toys", json=body)


async def imported_again(
    app: Application, owner: Client, name: str, content: bytes, **form: str
) -> dict[str, Any]:
    """The import of what was exported, when it has ended."""
    answer = await owner.post("/v1/imports", data={"object": "toys"} | form, files={"file": (name, content)})
    assert app.kernel is not None
    await JobRunner(app.kernel).run_due()
    done: dict[str, Any] = await owner.ok("GET", answer.headers["Location"])
    return done


async def test_a_stream_answers_csv_with_formulas_escaped(owner: Client):
    await toys(owner)
    answer = await owner.post(
        "/v1/exports/stream",
        {"object": "toys", "fields": ["name", "price", "tags"], "sort": ["pieces"]},
    )
    assert answer.status_code == 200, answer.text
    assert answer.text.splitlines() == [
        "name,price,currency,tags",
        "'=1+1,1.50,CNY,a; b",
        "Robot,2.50,CNY,a; b",
        "木偶,3.50,CNY,a; b",
    ]
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="toys.csv"')


async def test_ndjson_lines_are_the_records_of_the_api(owner: Client):
    await toys(owner)
    condition = {"field": "pieces", "op": "gte", "value": 3}
    answer = await owner.post(
        "/v1/exports/stream", {"object": "toy", "format": "ndjson", "filter": {"or": [{"and": [condition]}]}}
    )
    lines = [json.loads(line) for line in answer.text.splitlines()]
    listed = await owner.ok("GET", "/v1/toys?pieces=3")
    assert lines == listed["data"]


async def test_a_job_writes_the_file_which_imports_again(app: Application, owner: Client):
    await toys(owner)
    answer = await owner.post(
        "/v1/exports", {"object": "toys", "format": "xlsx", "fields": ["name", "pieces", "price"]}
    )
    assert answer.status_code == 202, answer.text
    assert app.kernel is not None
    await JobRunner(app.kernel).run_due()
    job = await owner.ok("GET", answer.headers["Location"])
    assert (job["state"], job["result"]["rows"]) == ("completed", 3), job
    content = (await owner.get(job["result"]["content"])).content
    assert content.startswith(b"PK")
    done = await imported_again(app, owner, "toys.xlsx", content)
    assert (done["state"], done["created"], done["detected"]["format"]) == ("completed", 3, "xlsx")
    names = sorted(t["name"] for t in (await owner.ok("GET", "/v1/toys"))["data"])
    assert names == sorted(["=1+1", "Robot", "木偶"] * 2)


async def test_amounts_in_custom_fields_keep_their_currency_on_the_way_out_and_in(
    app: Application, owner: Client
):
    definition = {"object": "toy", "key": "cost", "type": "money", "labels": {"en": "Cost"}}
    await owner.ok("POST", "/v1/custom-fields", json=definition)
    paid = {"Robot": ("1000", "JPY"), "Kite": ("-3.125", "KWD"), "木偶": ("10.50", "CNY")}
    for name, (amount, currency) in paid.items():
        body = {"name": name, "custom": {"cost": {"amount": amount, "currency": currency}}}
        await owner.ok("POST", "/v1/toys", json=body)
    answer = await owner.post(
        "/v1/exports/stream", {"object": "toys", "fields": ["name", "custom.cost"], "sort": ["created_at"]}
    )
    assert answer.text.splitlines() == [
        "name,custom.cost,custom.cost.currency",
        "Robot,1000,JPY",
        "Kite,-3.125,KWD",
        "木偶,10.50,CNY",
    ]
    done = await imported_again(app, owner, "toys.csv", answer.content)
    assert (done["state"], done["created"]) == ("completed", 3)
    toys = (await owner.ok("GET", "/v1/toys"))["data"]
    found = [(t["name"], t["custom"]["cost"]["amount"], t["custom"]["cost"]["currency"]) for t in toys]
    assert sorted(found) == sorted([(name, *cost) for name, cost in paid.items()] * 2)


async def test_ndjson_is_imported_again_as_it_is(app: Application, owner: Client):
    for key, kind in (("cost", "money"), ("box", "text"), ("on", "date"), ("sure", "boolean")):
        definition = {"object": "toy", "key": key, "type": kind, "labels": {"en": key}}
        await owner.ok("POST", "/v1/custom-fields", json=definition)
    options = [{"key": key, "labels": {"en": f"{key}; or so"}} for key in ("a", "b")]
    definition = {"object": "toy", "key": "kinds", "type": "multi_select", "labels": {"en": "Kinds"}}
    await owner.ok("POST", "/v1/custom-fields", json=definition | {"options": options})
    toys: list[dict[str, Any]] = [
        {"name": "Robot", "external_id": "1", "price": {"amount": "1299", "currency": "JPY"}, "tags": ["a;b", "c"]},
        {"name": "木偶", "external_id": "2", "custom": {"cost": {"amount": "-3.125", "currency": "KWD"}, "box": "红"}},
        {"name": "Kite", "external_id": "3", "pieces": 7, "custom": {"on": "2026-01-31", "sure": False, "kinds": ["a", "b"]}},
    ]  # fmt: skip
    made = [await owner.ok("POST", "/v1/toys", json=toy) for toy in toys]
    file = await owner.post("/v1/exports/stream", {"object": "toys", "format": "ndjson"})
    for toy in made:
        emptied: dict[str, Any] = {
            "price": None,
            "tags": [],
            "pieces": None,
            "custom": dict.fromkeys(toy["custom"]),
        }
        await owner.ok("PATCH", f"/v1/toys/{toy['id']}", json=emptied, if_match=1)
    done = await imported_again(app, owner, "toys.ndjson", file.content, mode="update")
    assert (done["state"], done["updated"], done["failed"]) == ("completed", 3, 0)
    said = ("name", "price", "tags", "pieces", "custom")
    found = {t["name"]: [t[name] for name in said] for t in (await owner.ok("GET", "/v1/toys"))["data"]}
    assert found == {toy["name"]: [toy[name] for name in said] for toy in made}


async def test_custom_fields_are_called_by_their_labels(owner: Client):
    for key, kind, labels in (
        ("cost", "money", {"en": "Cost", "zh": "成本"}),
        ("box", "text", {"en": "Box"}),
    ):
        definition = {"object": "toy", "key": key, "type": kind, "labels": labels}
        await owner.ok("POST", "/v1/custom-fields", json=definition)
    body = {"object": "toys", "fields": ["name", "custom.cost", "custom.box"]}
    titles = {
        language: (await owner.post("/v1/exports/stream", body | {"language": language})).text.splitlines()[0]
        for language in ("en", "zh")
    }
    assert titles["en"].split(",")[1:] == ["Cost", "Cost currency", "Box"]
    assert titles["zh"].split(",")[1:] == ["成本", "成本 币种", "Box"]


async def test_an_amount_with_one_currency_beside_another_is_refused(app: Application, owner: Client):
    definition = {"object": "toy", "key": "cost", "type": "money", "labels": {"en": "Cost"}}
    await owner.ok("POST", "/v1/custom-fields", json=definition)
    content = b"name,custom.cost,custom.cost.currency\nRobot,1000 JPY,CNY\nKite,1000 JPY,JPY\n"
    done = await imported_again(app, owner, "toys.csv", content)
    assert (done["created"], done["failed"]) == (1, 1)
    failed = (await owner.get(done["results"]["failed"])).text.splitlines()
    assert failed[1].startswith("Robot,1000 JPY,CNY,2,custom.cost,money_type,")
    (toy,) = (await owner.ok("GET", "/v1/toys"))["data"]
    assert (toy["name"], toy["custom"]["cost"]) == ("Kite", {"amount": "1000", "currency": "JPY"})


async def test_an_unknown_field_or_filter_is_refused_before_a_byte_is_sent(owner: Client):
    condition = {"field": "nonsense", "op": "eq", "value": 3}
    for body in (
        {"fields": ["nonsense"]},
        {"filter": {"or": [{"and": [condition]}]}},
        {"sort": ["nonsense"]},
    ):
        answer = await owner.post("/v1/exports/stream", {"object": "toys"} | body)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_filter")
    answer = await owner.post("/v1/exports", {"object": "nonsense"})
    assert answer.status_code == 422


async def test_tags_with_separators_in_them_come_back_whole(app: Application, owner: Client):
    tags = ["a;b", "c,d", "[e", "甲、乙"]
    await owner.ok("POST", "/v1/toys", json={"name": "Robot", "tags": tags})
    await owner.ok("POST", "/v1/toys", json={"name": "Kite", "tags": ["x", "y z"]})
    answer = await owner.post(
        "/v1/exports/stream", {"object": "toys", "fields": ["name", "tags"], "sort": ["name"]}
    )
    assert answer.text.splitlines() == [
        "name,tags",
        "Kite,x; y z",
        'Robot,"[""a;b"",""c,d"",""[e"",""甲、乙""]"',
    ]
    assert (await imported_again(app, owner, "toys.csv", answer.content))["created"] == 2
    toys = (await owner.ok("GET", "/v1/toys?sort=name"))["data"]
    assert [toy["tags"] for toy in toys] == [["x", "y z"]] * 2 + [tags] * 2


async def test_columns_are_called_in_the_language_that_was_asked_for(owner: Client):
    body = {"object": "leads", "fields": ["name", "company", "rating", "owner_id", "created_at"]}
    titles = {
        language: (await owner.post("/v1/exports/stream", body | {"language": language})).text.splitlines()[0]
        for language in ("en", "zh")
    }
    assert titles == {
        "en": "Name,Company,Rating,Owner,Created at",
        "zh": "姓名,公司,热度,负责人,创建时间",
    }
