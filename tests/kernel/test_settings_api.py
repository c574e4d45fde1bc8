"""Custom fields and saved views over HTTP, and the mail page of development."""

from __future__ import annotations

from typing import Any

import httpx

from app.kernel.mail import Message
from tests.support.api import Client, Company

REGION = {"object": "toy", "key": "region", "type": "text", "labels": {"en": "Region"}}


async def test_a_field_is_usable_as_soon_as_it_is_defined(owner: Client):
    made = await owner.post("/v1/custom-fields", REGION)
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    assert made.headers["location"] == f"/v1/custom-fields/{made.json()['id']}"
    toy = await owner.ok("POST", "/v1/toys", json={"name": "Bear", "custom": {"region": "north"}})
    assert toy["custom"] == {"region": "north"}
    found = await owner.ok("GET", "/v1/toys?custom.region=north&sort=custom.region")
    assert [row["id"] for row in found["data"]] == [toy["id"]]
    schema = await owner.ok("GET", "/v1/custom-fields/toy/schema")
    assert list(schema["properties"]) == ["region"]


async def test_a_definition_is_changed_archived_and_restored_under_its_version(owner: Client):
    made = await owner.ok("POST", "/v1/custom-fields", json=REGION)
    path = f"/v1/custom-fields/{made['id']}"
    assert (await owner.patch(path, {"position": 3})).status_code == 428
    assert (await owner.patch(path, {"position": 3}, if_match=9)).status_code == 412
    changed = await owner.patch(path, {"position": 3}, if_match=1)
    assert (changed.status_code, changed.json()["position"]) == (200, 3)
    refused = await owner.patch(path, {"type": "integer"}, if_match=2)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/type")
    assert (await owner.post(f"{path}/archive", if_match=2)).status_code == 200
    assert (await owner.ok("GET", "/v1/custom-fields?object=toy"))["data"] == []
    restored = await owner.post(f"{path}/restore", if_match=3)
    assert restored.json()["archived_at"] is None


async def test_a_key_is_taken_once_per_record_type(owner: Client):
    await owner.ok("POST", "/v1/custom-fields", json=REGION)
    again = await owner.post("/v1/custom-fields", REGION)
    assert (again.status_code, again.json()["code"]) == (409, "duplicate_value")
    assert again.json()["errors"][0]["pointer"] == "/key"
    assert len((await owner.ok("GET", "/v1/custom-fields"))["data"]) == 1


async def test_a_member_field_takes_members_only(owner: Client, company: Company, rival: Company):
    field = {"object": "toy", "key": "tester", "type": "member", "labels": {"en": "Tester"}}
    await owner.ok("POST", "/v1/custom-fields", json=field)

    def toy(member: Any) -> dict[str, Any]:
        return {"name": "Bear", "custom": {"tester": str(member)}}

    refused = await owner.post("/v1/toys", toy(rival.member_id))
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/custom/tester")
    assert (await owner.ok("GET", "/v1/toys"))["data"] == []
    await owner.ok("POST", "/v1/toys", json=toy(company.member_id))


async def test_another_company_sees_and_changes_nothing(owner: Client, rival: Company):
    field = await owner.ok("POST", "/v1/custom-fields", json=REGION)
    view = await owner.ok(
        "POST", "/v1/saved-views", json={"object": "toy", "name": "All", "shared_with": "everyone"}
    )
    for path in (f"/v1/custom-fields/{field['id']}", f"/v1/saved-views/{view['id']}"):
        assert (await rival.owner.get(path)).status_code == 404
        assert (await rival.owner.patch(path, {}, if_match=1)).status_code == 404
    assert (await rival.owner.ok("GET", "/v1/saved-views"))["data"] == []
    assert (await rival.owner.ok("GET", "/v1/custom-fields/toy/schema"))["properties"] == {}


async def test_a_view_is_saved_changed_and_removed(owner: Client):
    body = {
        "object": "toys",
        "name": "Red ones",
        "filter": {"or": [{"and": [{"field": "colour", "op": "eq", "value": "red"}]}]},
        "sort": ["-name"],
    }
    made = await owner.ok("POST", "/v1/saved-views", json=body)
    assert (made["object"], made["filter"]) == ("toy", body["filter"])
    path = f"/v1/saved-views/{made['id']}"
    again = await owner.post("/v1/saved-views", body)
    assert (again.status_code, again.json()["errors"][0]["pointer"]) == (409, "/name")
    changed = await owner.patch(path, {"filter": None, "sort": []}, if_match=1)
    assert (changed.json()["filter"], changed.json()["sort"]) == (None, [])
    assert (await owner.delete(path, if_match=2)).status_code == 204
    assert (await owner.ok("GET", "/v1/saved-views"))["data"] == []


async def test_development_shows_mail_and_runs_none_of_it(company: Company):
    kernel = company.app.kernel
    assert kernel is not None
    text = "<script>alert(1)</script> https://crm.example/x?a=1&b=2"
    await kernel.mailer.send(Message(to="ada@example.com", subject="Hello <b>", text=text))
    # A page for people and no part of the API: the OpenAPI document, which other answers are held to, omits it.
    browser = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=company.app),
        base_url="http://rapport.test",
    )
    page = await browser.get("/dev/mail")
    assert "Hello &lt;b&gt;" in page.text  # escaped
    name = page.text.split("/dev/mail/")[1].split('"')[0]
    shown = await browser.get(f"/dev/mail/{name}")
    assert "<script>" not in shown.text
    assert '<a href="https://crm.example/x?a=1&amp;b=2">' in shown.text
    assert shown.headers["content-security-policy"].startswith("default-src 'none'")
