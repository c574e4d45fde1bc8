"""The mapping of a tenant's own lead fields: equal keys by default, and what the tenant sets."""

from __future__ import annotations

from typing import Any

from tests.modules.support import count, make
from tests.support.api import Client, Company

PATH = "/v1/lead-conversion-mapping"


async def define(owner: Client, key: str, kind: str, *objects: str) -> None:
    for name in objects:
        body = {"object": name, "key": key, "type": kind, "labels": {"en": key.title()}}
        await owner.ok("POST", "/v1/custom-fields", json=body)


def targets(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"object": object_name, "field": field} for object_name, field in pairs]


async def converted(owner: Client, lead: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What the lead became, by object."""
    plan = {"opportunity": {"name": "Deal"}}
    result = await owner.ok("POST", f"/v1/leads/{lead['id']}/convert", json=plan, if_match=lead["version"])
    return {
        "account": await owner.ok("GET", f"/v1/accounts/{result['account']['id']}"),
        "contact": await owner.ok("GET", f"/v1/contacts/{result['contact']['id']}"),
        "opportunity": await owner.ok("GET", f"/v1/opportunities/{result['opportunity']['id']}"),
    }


async def test_custom_fields_of_equal_key_and_kind_are_carried_by_default(owner: Client) -> None:
    await define(owner, "region_code", "text", "lead", "account", "opportunity")
    await define(owner, "budget", "integer", "lead")
    await define(owner, "budget", "text", "account")
    assert await owner.ok("GET", PATH) == {
        "version": 0,
        "fields": [
            {
                "lead_field": "custom.region_code",
                "targets": targets(("account", "custom.region_code"), ("opportunity", "custom.region_code")),
                "by_default": True,
            }
        ],
    }
    lead = await make(
        owner, "leads", name="Ann Lee", company="Initech", custom={"region_code": "W-7", "budget": 5000}
    )
    became = await converted(owner, lead)
    assert became["account"]["custom"] == {"region_code": "W-7"}
    assert became["contact"]["custom"] == {}
    assert became["opportunity"]["custom"] == {"region_code": "W-7"}


async def test_what_the_tenant_sets_goes_before_equal_keys(owner: Client) -> None:
    await define(owner, "need", "text", "lead", "account")
    await define(owner, "hint", "text", "lead", "account")
    await define(owner, "interest", "text", "contact")
    body = {
        "fields": [
            {
                "lead_field": "custom.need",
                "targets": targets(("contact", "custom.interest"), ("opportunity", "next_step")),
            },
            {"lead_field": "custom.hint", "targets": []},
        ]
    }
    stored = await owner.ok("PUT", PATH, json=body, if_match=0)
    assert (stored["version"], [field["by_default"] for field in stored["fields"]]) == (1, [False, False])
    lead = await make(
        owner, "leads", name="Ann Lee", company="Initech", custom={"need": "Ten sensors", "hint": "Call"}
    )
    preview = await owner.ok(
        "POST", f"/v1/leads/{lead['id']}/convert/preview", json={"opportunity": {"name": "Deal"}}
    )
    shown = {f["field"]: (f["from_field"], f["value"]) for f in preview["contact"]["fields"]}
    assert shown["custom.interest"] == ("custom.need", "Ten sensors")
    shown = {f["field"]: (f["from_field"], f["value"]) for f in preview["opportunity"]["fields"]}
    assert shown["next_step"] == ("custom.need", "Ten sensors")
    became = await converted(owner, lead)
    assert became["account"]["custom"] == {}
    assert became["contact"]["custom"] == {"interest": "Ten sensors"}
    assert became["opportunity"]["next_step"] == "Ten sensors"


async def test_a_mapping_of_unknown_or_unlike_fields_is_refused_whole(owner: Client) -> None:
    await define(owner, "budget", "integer", "lead")
    await define(owner, "budget", "text", "account")
    body = {
        "fields": [
            {"lead_field": "custom.budget", "targets": targets(("account", "custom.budget"))},
            {"lead_field": "custom.nothing", "targets": []},
            {"lead_field": "company", "targets": targets(("contact", "shoe_size"), ("account", "owner_id"))},
        ]
    }
    refused = await owner.put(PATH, body, if_match=0)
    assert refused.status_code == 422
    assert [(e["pointer"], e["code"]) for e in refused.json()["errors"]] == [
        ("/fields/0/targets/0/field", "kinds_differ"),
        ("/fields/1/lead_field", "unknown_field"),
        ("/fields/2/targets/0/field", "unknown_field"),
        ("/fields/2/targets/1/field", "unknown_field"),
    ]
    assert await owner.ok("GET", PATH) == {"version": 0, "fields": []}


async def test_the_mapping_is_replaced_by_its_current_version_only(owner: Client) -> None:
    await define(owner, "need", "text", "lead")
    body = {"fields": [{"lead_field": "custom.need", "targets": targets(("contact", "description"))}]}
    missing = await owner.put(PATH, body)
    assert (missing.status_code, missing.json()["code"]) == (428, "version_required")
    await owner.ok("PUT", PATH, json=body, if_match=0)
    stale = await owner.put(PATH, {"fields": []}, if_match=0)
    assert (stale.status_code, stale.json()["current_version"]) == (412, 1)
    emptied = await owner.ok("PUT", PATH, json={"fields": []}, if_match=1)
    assert emptied == {"version": 2, "fields": []}


async def test_a_carried_value_that_does_not_fit_converts_nothing(company: Company, owner: Client) -> None:
    await define(owner, "need", "text", "lead")
    body = {"fields": [{"lead_field": "custom.need", "targets": targets(("opportunity", "next_step"))}]}
    await owner.ok("PUT", PATH, json=body, if_match=0)
    lead = await make(owner, "leads", name="Ann Lee", company="Initech", custom={"need": "x" * 201})
    refused = await owner.post(f"/v1/leads/{lead['id']}/convert", {"opportunity": {}}, if_match=1)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/opportunity/next_step")
    assert await count(company, "customers.accounts") == 0
    assert await owner.ok("GET", f"/v1/leads/{lead['id']}") == lead
