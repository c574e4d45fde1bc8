"""Merging accounts and contacts: values, references in every module, old ids, refusals."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from app.kernel.access import Scope
from tests.support.merging import merge, merge_body
from tests.modules.support import make
from tests.support.api import Client, Company
from tests.support.fingerprint import changes, fingerprint
from tests.tenants.people import Look

Json = dict[str, Any]


async def pair(owner: Client, **fields: Any) -> tuple[Json, Json]:
    """Two accounts that are one company."""
    one = await make(owner, "accounts", name="Acme Ltd", city="Paris", tags=["vip"], **fields)
    other = await make(
        owner,
        "accounts",
        name="ACME Limited",
        city="Lyon",
        industry="Pumps",
        tags=["vip", "fair"],
        email="sales@acme.example",
        phone="+33140000000",
        emails=["info@acme.example"],
        credit_limit={"amount": "500.00", "currency": "EUR"},
    )
    return one, other


async def test_the_master_keeps_its_values_and_takes_what_it_lacks(owner: Client):
    one, other = await pair(owner, email="hello@acme.example")
    answer = await merge(owner, "accounts", [one, other], master_id=one["id"], reason="Same company")
    survivor = answer["record"]
    assert survivor["id"] == one["id"]
    assert survivor["version"] == 2
    assert (survivor["name"], survivor["city"], survivor["industry"]) == ("Acme Ltd", "Paris", "Pumps")
    assert survivor["credit_limit"] == {"amount": "500.00", "currency": "EUR"}
    assert (survivor["email"], survivor["phone"]) == ("hello@acme.example", "+33140000000")
    assert survivor["emails"] == ["info@acme.example", "sales@acme.example"]
    assert survivor["tags"] == ["vip", "fair"]
    assert survivor["duplicate_count"] == 0
    assert await owner.ok("GET", f"/v1/accounts/{one['id']}") == survivor
    made = answer["merge"]
    assert (made["survivor_id"], made["merged_ids"], made["reason"]) == (
        one["id"],
        [other["id"]],
        "Same company",
    )
    assert {"industry", "emails", "tags", "credit_limit"} <= set(made["changed"])
    assert [row["id"] for row in (await owner.ok("GET", "/v1/accounts"))["data"]] == [one["id"]]
