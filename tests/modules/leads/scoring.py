"""What the tests of scoring share: models, jobs, and the events of a company."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from app.kernel.jobs import JobRunner
from tests.modules.support import acting
from tests.support.api import Client, Company

Json = dict[str, Any]


def fit(points: int, field: str, value: Any, op: str = "eq", name: str = "Fit") -> Json:
    condition = {"field": field, "op": op, "value": value}
    return {"name_en": name, "points": points, "filter": {"or": [{"and": [condition]}]}}


def behaviour(points: int, kind: str, name: str = "Behaviour", **more: Any) -> Json:
    return {"name_en": name, "points": points, "behaviour": kind, **more}


async def new_model(owner: Client, **fields: Any) -> Json:
    made: Json = await owner.ok("POST", "/v1/lead-scoring-models", json={"name_en": "Model", **fields})
    return made


async def switch(owner: Client, model: Json, action: str = "activate") -> Json:
    done: Json = await owner.ok(
        "POST", f"/v1/lead-scoring-models/{model['id']}/{action}", if_match=model["version"]
    )
    return done


async def in_use(company: Company, **fields: Any) -> Json:
    """An active model whose first pass over the leads is through."""
    model = await switch(company.owner, await new_model(company.owner, **fields))
    await run_jobs(company)
    return model


async def run_jobs(company: Company) -> None:
    await JobRunner(company.kernel).run_due()


async def score_of(owner: Client, lead: Json) -> tuple[Any, Any]:
    found = await owner.ok("GET", f"/v1/leads/{lead['id']}")
    return found["score"], found["grade"]


async def behave(owner: Client, lead: Json, kind: str = "form_submitted", **more: Any) -> Json:
    done: Json = await owner.ok("POST", f"/v1/leads/{lead['id']}/behaviours", json={"kind": kind, **more})
    return done


async def explained(owner: Client, lead: Json) -> Json:
    """The explanation of a lead's score, whose parts sum to it."""
    found: Json = await owner.ok("GET", f"/v1/leads/{lead['id']}/score")
    total = sum((Decimal(part["total"]) for part in found["parts"]), Decimal(0))
    total += sum((Decimal(step["points"]) for step in found["adjustments"]), Decimal(0))
    assert total == (found["score"] or 0), found
    return found


async def events(company: Company, kind: str) -> list[Json]:
    """The data of a company's events of one type, in the order of their making."""
    async with acting(company) as uow:
        rows = await uow.fetch(
            "SELECT data FROM kernel.outbox WHERE tenant_id = $1 AND type = $2 ORDER BY id",
            uow.tenant_id,
            kind,
        )
    return [row["data"] for row in rows]


async def crossings(company: Company) -> list[tuple[Any, ...]]:
    return [
        (event["direction"], event["from_grade"], event["to_grade"], event["cause"])
        for event in await events(company, "leads.lead.score_threshold_crossed.v1")
    ]
