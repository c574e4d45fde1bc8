"""What the tests of cases share."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support.api import Client

Json = dict[str, Any]


async def case_of(owner: Client, **fields: Any) -> Json:
    made: Json = await owner.ok("POST", "/v1/cases", json={"subject": "The pump leaks"} | fields)
    return made


async def again(owner: Client, case: Json) -> Json:
    found: Json = await owner.ok("GET", f"/v1/cases/{case['id']}")
    return found


async def step(owner: Client, case: Json, name: str, body: Any = None) -> httpx.Response:
    """Take a step at whatever version the case is."""
    version = (await again(owner, case))["version"]
    return await owner.post(f"/v1/cases/{case['id']}/{name}", json=body, if_match=version)


async def stepped(owner: Client, case: Json, name: str, body: Any = None) -> Json:
    answer = await step(owner, case, name, body)
    assert answer.is_success, answer.text
    found: Json = answer.json()
    return found
