"""Puts the demo company's promises and cases into Rapport; what is there already by its key or name stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from app.demo.cases import POLICIES, DemoCase
from app.demo.client import Api, ApiFailure

Ids = Mapping[str, str]
_BATCH: Final = 100


class CaseLoader:
    """One load. `accounts` and `products` are ids by external id, `members` by e-mail."""

    def __init__(self, api: Api, *, accounts: Ids, products: Ids, members: Ids) -> None:
        self._api = api
        self._accounts = accounts
        self._products = products
        self._members = members

    async def load(self, cases: Sequence[DemoCase]) -> None:
        """The promises first, so that each case gets its clocks."""
        there = {one["name"] for one in (await self._api.get("/v1/sla-policies"))["data"]}
        for policy in POLICIES:
            if policy["name"] not in there:
                await self._api.post("/v1/sla-policies", policy)
        pages = self._api.pages("/v1/cases", fields="id,external_id")
        known = {one["external_id"] async for one in pages}
        items = [
            {"ref": one.external_id, "record": self._record(one)}
            for one in cases
            if one.external_id not in known
        ]
        for at in range(0, len(items), _BATCH):
            body = {"items": items[at : at + _BATCH]}
            answer = await self._api.post("/v1/cases/batch/create", body, key=str(uuid4()))
            bad = next((one for one in answer["results"] if one["error"]), None)
            if bad is not None:
                detail = f"case {bad['ref']} was refused: {bad['error']['detail']}"
                raise ApiFailure("POST", "/v1/cases/batch/create", 422, {"detail": detail})

    def _record(self, case: DemoCase) -> dict[str, Any]:
        return {
            "external_id": case.external_id,
            "subject": case.subject,
            "type": case.type,
            "priority": case.priority,
            "channel": case.channel,
            "account_id": self._accounts[case.account],
            "product_id": self._products[case.product],
            "owner_id": self._members[case.owner],
            "opened_at": case.opened_at.isoformat(),
            "first_response_at": _text(case.first_response_at),
            "resolved_at": _text(case.resolved_at),
        }


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
