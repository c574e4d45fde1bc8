"""What the tests of opportunities share: a pipeline with rules, people, and lines."""

from __future__ import annotations

from typing import Any

from tests.support.api import Client

WON = {
    "key": "won", "name": {"en": "Won"}, "probability": 100,
    "forecast_category": "closed", "is_closed": True, "is_won": True,
}  # fmt: skip


def stage(key: str, probability: int, **more: Any) -> dict[str, Any]:
    return {"key": key, "name": {"en": key.title()}, "probability": probability} | more


def money(amount: str, currency: str = "USD") -> dict[str, str]:
    return {"amount": amount, "currency": currency}


async def pipeline_of(owner: Client, *stages: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A new pipeline of these open stages and a won one."""
    body = {"key": "test", "name": {"en": "Test"}, "stages": [*stages, WON]} | more
    made: dict[str, Any] = await owner.ok("POST", "/v1/pipelines", json=body)
    return made


async def deal_in(owner: Client, pipeline: dict[str, Any], **fields: Any) -> dict[str, Any]:
    body = {"name": "Deal", "pipeline_id": pipeline["id"]} | fields
    made: dict[str, Any] = await owner.ok("POST", "/v1/opportunities", json=body)
    return made


async def again(owner: Client, deal: dict[str, Any]) -> dict[str, Any]:
    """The deal as it is now."""
    found: dict[str, Any] = await owner.ok("GET", f"/v1/opportunities/{deal['id']}")
    return found


async def move(owner: Client, deal: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Change the deal at whatever version it is."""
    version = (await again(owner, deal))["version"]
    path = f"/v1/opportunities/{deal['id']}"
    changed: dict[str, Any] = await owner.ok("PATCH", path, json=changes, if_match=version)
    return changed


def pointers(answer: Any) -> list[tuple[str, str]]:
    """Status must be 422; where and what was wrong."""
    assert answer.status_code == 422, answer.text
    return [(error["pointer"], error["code"]) for error in answer.json()["errors"]]
