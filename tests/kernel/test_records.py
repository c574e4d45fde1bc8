"""What every record type can do, on the smallest one: create, read, patch, delete, versions, batches, history."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from tests.kernel.conftest import make_toy, refusal

# -- create --------------------------------------------------------------------------------------------------


async def test_creating_answers_the_whole_record_with_its_address_and_version(owner, company):
    answer = await owner.post(
        "/v1/toys", {"name": "  Ball ", "price": {"amount": "12.50", "currency": "EUR"}}
    )
    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/toys/{made['id']}"
    assert answer.headers["etag"] == '"1"'
    assert (
        made | {"name": "Ball", "version": 1, "colour": "red", "tags": [], "custom": {}, "fragile": False}
        == made
    )
    assert made["price"] == {"amount": "12.50", "currency": "EUR"}
    assert made["owner_id"] == made["created_by"] == str(company.member_id)
    assert made["created_at"] == made["updated_at"]
    assert made["created_at"].endswith("Z")
    assert await owner.ok("GET", f"/v1/toys/{made['id']}") == made


async def test_creating_writes_row_audit_entry_event_and_usage_together(owner, company, look):
    made = await make_toy(owner)
    audit = await look.audit(company.tenant_id, "created")
    toys = [entry for entry in audit if entry["object"] == "toy"]
    assert [str(entry["record_id"]) for entry in toys] == [made["id"]]
    assert toys[0]["changes"]["name"] == [None, "Ball"]
    events = await look.rows(
        "SELECT type, data->'record'->>'name' AS name, record_id FROM kernel.outbox"
        " WHERE tenant_id = $1 AND object = 'toy'",
        company.tenant_id,
    )
    assert [(row["type"], row["name"], str(row["record_id"])) for row in events] == [
        ("toys.toy.created.v1", "Ball", made["id"])
    ]
    assert await look.value(
        "SELECT sum(quantity) FROM kernel.usage_records WHERE tenant_id = $1 AND metric = 'records.created'",
        company.tenant_id,
    ) == 1  # fmt: skip


async def test_a_second_record_with_the_same_external_id_is_refused(owner, unchanged):
    await make_toy(owner, external_id="T-1")
    async with unchanged():
        answer = await owner.post("/v1/toys", {"name": "Other", "external_id": "T-1"})
    assert refusal(answer) == (409, "duplicate_value")
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/external_id"]


async def test_a_deleted_record_gives_its_external_id_back(owner):
    toy = await make_toy(owner, external_id="T-1")
    await owner.ok("DELETE", f"/v1/toys/{toy['id']}", if_match=1)
    again = await make_toy(owner, external_id="T-1")
    assert again["id"] != toy["id"]


async def test_two_companies_may_use_the_same_external_id(owner, rival):
    await make_toy(owner, external_id="T-1")
    assert (await make_toy(rival.owner, external_id="T-1"))["external_id"] == "T-1"


# -- read ----------------------------------------------------------------------------------------------------


async def test_a_read_that_is_still_current_is_not_sent_again(owner):
    toy = await make_toy(owner)
    path = f"/v1/toys/{toy['id']}"
    for header in ('"1"', 'W/"1"', '"7", "1"', "*"):
        answer = await owner.get(path, headers={"If-None-Match": header})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", '"1"')
    answer = await owner.get(path, headers={"If-None-Match": '"2"'})
    assert (answer.status_code, answer.json()) == (200, toy)


async def test_head_answers_as_get_does(owner):
    toy = await make_toy(owner)
    answer = await owner.request("HEAD", f"/v1/toys/{toy['id']}")
    assert (answer.status_code, answer.headers["etag"]) == (200, '"1"')


@pytest.mark.parametrize(
    "id", ["0198c0de-0000-7000-8000-00000000dead", "not-a-uuid", "1", "%00", "..%2f", "é"]
)
async def test_what_does_not_exist_is_not_found_whatever_it_looks_like(owner, id):
    assert refusal(await owner.get(f"/v1/toys/{id}")) == (404, "not_found")


async def test_a_deleted_record_is_gone_everywhere(owner):
    toy = await make_toy(owner)
    path = f"/v1/toys/{toy['id']}"
    assert (await owner.delete(path, if_match=1)).status_code == 204
    assert refusal(await owner.get(path)) == (404, "not_found")
    assert refusal(await owner.patch(path, {"name": "x"}, if_match=2)) == (404, "not_found")
    assert refusal(await owner.delete(path, if_match=2)) == (404, "not_found")
    assert refusal(await owner.get(f"{path}/history")) == (404, "not_found")
    assert (await owner.ok("GET", "/v1/toys"))["data"] == []
    assert (await owner.ok("POST", "/v1/toys/search", json={"query": "ball"}))["data"] == []


# -- merge patch ---------------------------------------------------------------------------------------------


async def test_a_patch_changes_what_it_names_and_leaves_the_rest(owner):
    toy = await make_toy(owner, pieces=3, tags=["a", "b"], price={"amount": "1.00", "currency": "USD"})
    answer = await owner.patch(f"/v1/toys/{toy['id']}", {"pieces": 4, "tags": ["c"]}, if_match=1)
    changed = answer.json()
    assert (answer.status_code, answer.headers["etag"], changed["version"]) == (200, '"2"', 2)
    assert {name for name in toy if toy[name] != changed[name]} == {"pieces", "tags", "version", "updated_at"}
    assert (changed["pieces"], changed["tags"]) == (4, ["c"])


async def test_null_clears_a_field_that_may_be_empty(owner):
    toy = await make_toy(owner, pieces=3, price={"amount": "1.00", "currency": "USD"})
    changed = await owner.ok(
        "PATCH", f"/v1/toys/{toy['id']}", json={"pieces": None, "price": None}, if_match=1
    )
    assert (changed["pieces"], changed["price"]) == (None, None)


@pytest.mark.parametrize("field", ["name", "colour", "fragile", "tags"])
async def test_null_for_a_field_that_may_not_be_empty_is_refused(owner, unchanged, field):
    toy = await make_toy(owner)
    async with unchanged():
        answer = await owner.patch(f"/v1/toys/{toy['id']}", {field: None}, if_match=1)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == f"/{field}"


async def test_a_patch_that_changes_nothing_makes_no_version_event_or_history(owner, unchanged):
    toy = await make_toy(owner, pieces=3)
    async with unchanged():
        answer = await owner.patch(f"/v1/toys/{toy['id']}", {"pieces": 3, "name": "Ball"}, if_match=1)
    assert (answer.status_code, answer.json()) == (200, toy)


@pytest.mark.parametrize(
    "body", [{"nme": "x"}, {"id": str(uuid4())}, {"version": 9}, {"created_at": "2026-01-01T00:00:00Z"}]
)
async def test_unknown_and_read_only_fields_are_refused(owner, unchanged, body):
    toy = await make_toy(owner)
    async with unchanged():
        answer = await owner.patch(f"/v1/toys/{toy['id']}", body, if_match=1)
        created = await owner.post("/v1/toys", {"name": "x"} | body)
    assert [(found.status_code, found.json()["errors"][0]["code"]) for found in (answer, created)] == [
        (422, "unknown_field"), (422, "unknown_field"),
    ]  # fmt: skip


# -- versions ------------------------------------------------------------------------------------------------


async def test_a_change_needs_the_version_that_was_read(owner, unchanged):
    toy = await make_toy(owner)
    path = f"/v1/toys/{toy['id']}"
    async with unchanged():
        assert refusal(await owner.patch(path, {"name": "x"})) == (428, "version_required")
        assert refusal(await owner.delete(path)) == (428, "version_required")
        assert refusal(await owner.patch(path, {"name": "x"}, if_match=2)) == (412, "stale_version")
        assert refusal(await owner.delete(path, if_match=2)) == (412, "stale_version")
        for text in ("seven", '""', '"-1"', '"²"', '"' + "9" * 30 + '"'):
            answer = await owner.patch(path, {"name": "x"}, headers={"If-Match": text.encode()})
            assert refusal(answer) == (412, "stale_version"), text


async def test_a_stale_version_says_which_one_is_current(owner):
    toy = await make_toy(owner)
    await owner.ok("PATCH", f"/v1/toys/{toy['id']}", json={"name": "x"}, if_match=1)
    answer = await owner.patch(f"/v1/toys/{toy['id']}", {"name": "y"}, if_match=1)
    assert (answer.status_code, answer.json()["current_version"]) == (412, 2)


async def test_refusals_come_in_the_documented_order(owner, rival, hire, unchanged):
    """401, 404, 403, 428, 412, and the body last: nobody learns more than they may know."""
    toy = await make_toy(owner)
    reader = await hire({"toy:read": "all", "toy:update": "own", "toy:delete": "own"})
    path, nowhere, bad = f"/v1/toys/{toy['id']}", f"/v1/toys/{uuid4()}", {"name": None, "nonsense": 1}
    from tests.support.api import Client

    stranger = Client(owner.http)
    async with unchanged():
        assert refusal(await stranger.patch(nowhere, bad)) == (401, "unauthenticated")
        for client in (owner, rival.owner):
            assert refusal(await client.patch(nowhere, bad)) == (404, "not_found")
            assert refusal(await client.delete(nowhere)) == (404, "not_found")
        assert refusal(await rival.owner.patch(path, bad, if_match=9)) == (404, "not_found")
        assert refusal(await reader.patch(path, bad)) == (403, "forbidden")
        assert refusal(await reader.delete(path)) == (403, "forbidden")
        assert refusal(await owner.patch(path, bad)) == (428, "version_required")
        assert refusal(await owner.patch(path, bad, if_match=9)) == (412, "stale_version")
        assert (await owner.patch(path, bad, if_match=1)).status_code == 422


async def test_of_many_changes_at_once_from_one_version_exactly_one_wins(owner):
    import asyncio

    toy = await make_toy(owner)
    answers = await asyncio.gather(
        *[owner.patch(f"/v1/toys/{toy['id']}", {"pieces": n}, if_match=1) for n in range(10)]
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 9
    assert (await owner.ok("GET", f"/v1/toys/{toy['id']}"))["version"] == 2


# -- history -------------------------------------------------------------------------------------------------


async def test_the_history_says_who_changed_what(owner, company):
    toy = await make_toy(owner, pieces=1)
    path = f"/v1/toys/{toy['id']}"
    await owner.ok("PATCH", path, json={"pieces": 2, "name": "Cube"}, if_match=1)
    history = (await owner.ok("GET", f"{path}/history"))["data"]
    assert [entry["action"] for entry in history] == ["updated", "created"]
    assert history[0]["changes"] == {"pieces": [1, 2], "name": ["Ball", "Cube"]}
    assert {entry["actor_id"] for entry in history} == {str(company.member_id)}
    assert all(entry["request_id"] for entry in history)


async def test_the_history_pages_by_cursor(owner):
    toy = await make_toy(owner)
    path = f"/v1/toys/{toy['id']}"
    for version in range(1, 6):
        await owner.ok("PATCH", path, json={"pieces": version}, if_match=version)
    seen, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = await owner.ok("GET", f"{path}/history", params=query)
        seen += [entry["id"] for entry in page["data"]]
        cursor = page["next_cursor"]
        if not page["has_more"]:
            break
    assert len(seen) == len(set(seen)) == 6
    assert seen == sorted(seen, reverse=True)


# -- batches -------------------------------------------------------------------------------------------------


async def test_a_batch_answers_each_item_in_order_with_its_ref(owner):
    toy = await make_toy(owner, external_id="T-1")
    items = [
        {"ref": "one", "record": {"name": "A"}},
        {"ref": "two", "record": {"name": "B", "external_id": "T-1"}},
        {"record": {"name": "C", "team_id": str(uuid4())}},
    ]
    answer = await owner.post("/v1/toys/batch/create", {"items": items})
    body = answer.json()
    assert (answer.status_code, body["succeeded"], body["failed"]) == (207, 1, 2)
    assert [(r["ref"], r["status"]) for r in body["results"]] == [("one", 201), ("two", 409), (None, 422)]
    assert body["results"][1]["error"]["code"] == "duplicate_value"
    names = {found["name"] for found in (await owner.ok("GET", "/v1/toys"))["data"]}
    assert names == {"A", toy["name"]}


async def test_all_or_none_undoes_everything_with_its_events_and_history(owner, unchanged):
    await make_toy(owner, external_id="T-1")
    items = [
        {"record": {"name": "A"}},
        {"record": {"name": "B", "external_id": "T-1"}},
        {"record": {"name": "C"}},
    ]
    async with unchanged():
        answer = await owner.post("/v1/toys/batch/create", {"items": items, "all_or_none": True})
    assert refusal(answer) == (422, "batch_failed")
    assert [result["status"] for result in answer.json()["results"]] == [201, 409, 201]


async def test_an_item_that_fails_leaves_no_event_behind(owner, company, look):
    await make_toy(owner, external_id="T-1")
    items = [{"record": {"name": "A"}}, {"record": {"name": "B", "external_id": "T-1"}}]
    await owner.ok("POST", "/v1/toys/batch/create", json={"items": items})
    names = await look.rows(
        "SELECT data->'record'->>'name' AS name FROM kernel.outbox"
        " WHERE tenant_id = $1 AND object = 'toy' ORDER BY id",
        company.tenant_id,
    )
    assert [row["name"] for row in names] == ["Ball", "A"]


async def test_a_batch_of_changes_checks_each_version(owner):
    toys = [await make_toy(owner) for _ in range(3)]
    items = [
        {"id": toys[0]["id"], "version": 1, "record": {"pieces": 1}},
        {"id": toys[1]["id"], "version": 9, "record": {"pieces": 1}},
        {"id": toys[2]["id"], "record": {"pieces": 1}},
        {"id": str(uuid4()), "record": {"pieces": 1}},
    ]
    body = await owner.ok("POST", "/v1/toys/batch/update", json={"items": items})
    assert [(r["status"], r["version"]) for r in body["results"]] == [
        (200, 2),
        (412, None),
        (200, 2),
        (404, None),
    ]


async def test_an_upsert_creates_once_and_changes_then(owner):
    item = {"key": "external_id", "record": {"name": "A", "external_id": "T-1", "pieces": 1}}
    first = await owner.ok("POST", "/v1/toys/batch/upsert", json={"items": [item]})
    item["record"] = {"name": "B", "external_id": "T-1"}
    second = await owner.ok("POST", "/v1/toys/batch/upsert", json={"items": [item]})
    assert [first["results"][0]["status"], second["results"][0]["status"]] == [201, 200]
    assert first["results"][0]["id"] == second["results"][0]["id"]
    stored = await owner.ok("GET", f"/v1/toys/{first['results'][0]['id']}")
    assert (stored["name"], stored["pieces"], stored["version"]) == ("B", 1, 2)


async def test_upserts_of_one_record_at_once_make_it_once_and_refuse_nobody(owner):
    async def upsert(number: int) -> int:
        item = {"record": {"name": f"Robot {number}", "external_id": "T-1"}}
        answer = await owner.ok("POST", "/v1/toys/batch/upsert", json={"items": [item]})
        return int(answer["results"][0]["status"])

    assert sorted(await asyncio.gather(*map(upsert, range(8)))) == [200] * 7 + [201]
    (toy,) = (await owner.ok("GET", "/v1/toys"))["data"]
    assert toy["version"] == 8


async def test_an_upsert_finds_records_by_a_unique_custom_field(owner):
    for key, unique in (("code", True), ("note", False)):
        body = {"object": "toy", "key": key, "type": "text", "labels": {"en": key}, "unique": unique}
        await owner.ok("POST", "/v1/custom-fields", json=body)
    values = (("A", {"code": "木-1"}), ("B", {"code": " 木-1 "}), ("C", {}), ("D", {"code": "木-1"}))
    keys = ("custom.code", "custom.code", "custom.code", "custom.note")
    items = [
        {"key": key, "record": {"name": name, "custom": custom}}
        for key, (name, custom) in zip(keys, values, strict=True)
    ]
    results = (await owner.ok("POST", "/v1/toys/batch/upsert", json={"items": items}))["results"]
    assert [r["status"] for r in results] == [201, 200, 422, 422]
    pointers = [r["error"]["errors"][0]["pointer"] for r in results[2:]]
    assert pointers == ["/record/custom/code", "/key"]
    (stored,) = (await owner.ok("GET", "/v1/toys"))["data"]
    assert (stored["id"], stored["name"], stored["version"]) == (results[0]["id"], "B", 2)
    assert stored["custom"] == {"code": "木-1"}


async def test_a_list_keeps_what_is_out_of_use_when_it_gets_more(owner):
    options = [{"key": key, "labels": {"en": key}} for key in ("a", "b", "c")]
    body = {
        "object": "toy",
        "key": "kinds",
        "type": "multi_select",
        "labels": {"en": "K"},
        "options": options,
    }
    field = await owner.ok("POST", "/v1/custom-fields", json=body)
    toy = await owner.ok("POST", "/v1/toys", json={"name": "A", "custom": {"kinds": ["a", "b"]}})
    path = f"/v1/custom-fields/{field['id']}"
    await owner.ok("PATCH", path, json={"options": options[1:]}, if_match=1)

    async def change(version: int, *kinds: str):
        body = {"custom": {"kinds": kinds}}
        return await owner.patch(f"/v1/toys/{toy['id']}", body, if_match=version)

    more = await change(1, "c", "b", "a")
    assert (more.status_code, more.json()["custom"]["kinds"]) == (200, ["b", "c", "a"])
    only = await change(2, "a")
    assert (only.status_code, only.json()["custom"]["kinds"]) == (200, ["a"])
    other = await change(3, "b")
    assert (other.status_code, other.json()["custom"]["kinds"]) == (200, ["b"])
    again = await change(4, "a", "b")
    assert (again.status_code, again.json()["errors"][0]["code"]) == (422, "unknown_option")
    assert (await owner.ok("GET", f"/v1/toys/{toy['id']}"))["version"] == 4


async def test_a_batch_of_deletions_deletes_what_it_names(owner):
    toys = [await make_toy(owner) for _ in range(2)]
    items = [{"id": toys[0]["id"], "version": 1}, {"id": toys[1]["id"], "version": 2}]
    body = await owner.ok("POST", "/v1/toys/batch/delete", json={"items": items})
    assert [r["status"] for r in body["results"]] == [204, 412]
    assert [found["id"] for found in (await owner.ok("GET", "/v1/toys"))["data"]] == [toys[1]["id"]]


@pytest.mark.parametrize("items", [[], [{"record": {"name": "x"}}] * 101])
async def test_a_batch_has_one_to_a_hundred_items(owner, unchanged, items):
    async with unchanged():
        answer = await owner.post("/v1/toys/batch/create", {"items": items})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/items")


# -- statements ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body", "most"),
    [
        ("GET", "/v1/toys", None, 2),
        ("GET", "/v1/toys?include=total", None, 3),
        ("POST", "/v1/toys/search", {"query": "ball"}, 2),
        ("GET", "/v1/toys/{id}", None, 1),
        ("GET", "/v1/toys/{id}/history", None, 2),
        ("POST", "/v1/toys", {"name": "New"}, 3),
    ],
)
async def test_an_operation_costs_the_same_few_statements_however_many_rows(
    owner, app, method, path, body, most
):
    items = [{"record": {"name": f"Ball {n}"}} for n in range(60)]
    made = await owner.ok("POST", "/v1/toys/batch/create", json={"items": items})
    counted: list[int] = []
    real = app.index.find(path.partition("?")[0].replace("{id}", made["results"][0]["id"]))[0][method][
        0
    ].respond

    async def counting(request):
        answer = await real(request)
        counted.append(request.scope["rapport.statements"])
        return answer

    route = app.index.find(path.partition("?")[0].replace("{id}", made["results"][0]["id"]))[0][method][0]
    route.respond = counting
    try:
        await owner.ok(
            method, path.replace("{id}", made["results"][0]["id"]), **({"json": body} if body else {})
        )
    finally:
        del route.respond
    assert counted[0] <= most


# -- search --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("few", [1_000, 3], ids=["few found", "many found"])
@pytest.mark.parametrize("sort", ["name", "-name", "-created_at"])
async def test_pages_of_what_a_text_finds_hold_each_record_once_in_order(owner, monkeypatch, few, sort):
    monkeypatch.setattr("app.kernel.text_pages._FEW", few)
    made = [await make_toy(owner, name=f"Kite {letter}") for letter in "dbgaecf"]
    await make_toy(owner, name="Ball")
    wanted = [toy["name"] for toy in made]
    if sort != "-created_at":
        wanted.sort()
    if sort.startswith("-"):
        wanted.reverse()
    found, query = [], {"q": "kite", "sort": sort, "limit": "2", "include": "total"}
    while True:
        page = await owner.ok("GET", "/v1/toys", params=query)
        assert page["total"] == 7
        found.append([toy["name"] for toy in page["data"]])
        if not page["has_more"]:
            break
        query["cursor"] = page["next_cursor"]
    assert found == [wanted[0:2], wanted[2:4], wanted[4:6], wanted[6:]]


async def test_the_end_of_a_number_is_found_at_any_length(owner):
    toy = await make_toy(owner, name="Kite", phone="+86 138 0013 8123")
    for text, there in (("8123", True), ("38123", True), ("800138123", True), ("28123", False)):
        page = await owner.ok("GET", "/v1/toys", params={"q": text})
        assert [found["id"] for found in page["data"]] == ([toy["id"]] if there else [])
