"""Odd values in files of imports: refused row by row, or read as they are meant."""

from __future__ import annotations

import json
from typing import Any

from app.kernel.jobs import JobRunner
from tests.modules.support import make
from tests.support.api import Client, Company
from tests.support.importing import custom_field, imported


async def test_lists_of_options_come_back_from_ndjson(company: Company, owner: Client) -> None:
    options = [{"key": k, "labels": {"en": k.upper()}} for k in ("a", "b")]
    await custom_field(owner, "many", "multi_select", options=options)
    made = await make(owner, "accounts", name="A", external_id="1", custom={"many": ["a", "b"]})
    file = await owner.post("/v1/exports/stream", {"object": "accounts", "format": "ndjson"})
    emptied = {"custom": {"many": None}}
    await owner.ok("PATCH", f"/v1/accounts/{made['id']}", json=emptied, if_match=1)
    done = await imported(company, "accounts", file.text, "f.ndjson", mode="update")
    assert (done["updated"], done["failed"]) == (1, 0), done
    assert (await owner.ok("GET", f"/v1/accounts/{made['id']}"))["custom"] == {"many": ["a", "b"]}


async def test_odd_amounts_are_refused(company: Company, owner: Client) -> None:
    await custom_field(owner, "cost", "money")
    odd: list[Any] = [
        {"amount": "5", "currency": "BTC"}, {"amount": "5", "currency": None}, {"amount": None, "currency": "EUR"},
        {"amount": True, "currency": "EUR"}, {"amount": "5 USD", "currency": "EUR"}, {"amount": "5", "currency": ""},
        {"amount": "", "currency": "EUR"}, {"amount": [5], "currency": "EUR"}, {"amount": "5", "currency": ["EUR"]},
        {"amount": "5", "currency": 5}, {"amount": "NaN", "currency": "EUR"}, {"amount": "5"}, [], ["5 USD"], "5 BTC",
        "(5)", "(5.00) USD", {"amount": "1e3", "currency": "EUR"}, {"amount": "5.001", "currency": "EUR"},
    ]  # fmt: skip
    lines = [{"name": f"O{n}", "credit_limit": v} for n, v in enumerate(odd)]
    lines += [{"name": f"C{n}", "custom": {"cost": v}} for n, v in enumerate(odd)]
    done = await imported(company, "accounts", "\n".join(map(json.dumps, lines)), "f.ndjson")
    page = await owner.ok("GET", "/v1/accounts?limit=100")
    taken = {one["name"]: (one["credit_limit"], one["custom"]) for one in page["data"]}
    assert taken == {}, (taken, done["state"])


async def test_odd_custom(company: Company, owner: Client) -> None:
    await custom_field(owner, "x")
    odd: list[Any] = [
        {"custom": None}, {"custom": []}, {"custom": {}}, {"custom": {"x": {"y": 1}}}, {"custom": {"x": None}},
        {"custom": {"x": "in"}, "custom.x": "out"}, {"custom": {"x": [1]}}, {"custom": "text"}, {"custom": {"": 1}},
        {"custom": {"x.currency": "EUR"}}, {"custom": {"custom.x": "deep"}}, {"custom": {"x": "\ud800"}},
        {"custom": {"x": "a\0b"}}, {"custom": {"x": 1e400}}, {"custom": {"x": 10**400}},
    ]  # fmt: skip
    lines = [{"name": f"O{n}"} | v for n, v in enumerate(odd)]
    text = "\n".join(map(json.dumps, lines)).replace("Infinity", "1e400")
    done = await imported(company, "accounts", text, "f.ndjson")
    assert done["state"] in ("completed", "completed_with_errors")


async def test_odd_characters_in_names_and_cells_of_files(company: Company, owner: Client) -> None:
    answers: list[Any] = []
    for n, (name, text) in enumerate((
        ("f.csv", "name\nA\0B\nSound 1\n"),
        ("f.ndjson", '{"name": "A\\u0000B"}\n{"name": "Sound 2"}\n'),
        ("f.ndjson", '{"name": "Sound 3"}\n' * 1 + '{"name": "X", "cus\\u0000": 1}\n'),
        ("f.ndjson", '{"name": "Sound 4"}\n' + '{"name": "X", "cus\\ud800": 1}\n'),
        ("f.ndjson", "".join(f'{{"name": "Sound 5 {i}", "external_id": "q{i}"}}\n' for i in range(1000)) + '{"name": "X", "cus\\ud800\\u0000": 1}\n'),
    )):  # fmt: skip
        made = await owner.post(
            "/v1/imports", data={"object": "accounts"}, files={"file": (name, text.encode())}
        )
        if made.status_code != 202:
            answers.append((n, made.status_code, made.text[:300]))
            continue
        await JobRunner(company.kernel).run_due()
        done = await owner.ok("GET", made.headers["Location"])
        answers.append((n, done["state"], done["created"], done["failed"], done["error"]))
    assert not [a for a in answers if a[1] in (500, "in_progress", "failed")], answers
