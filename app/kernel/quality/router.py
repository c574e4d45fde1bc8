"""`/v1/data-quality-rules` and the report on what breaks them."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Response

from app.kernel.paging import Cursor, Limit
from app.kernel.quality import report as reports
from app.kernel.quality.rules import QualityRules
from app.kernel.quality.schemas import (
    FailingRecord,
    QualityReport,
    QualityRuleCreate,
    QualityRuleRead,
    QualityRuleUpdate,
)
from app.kernel.record_router import tag
from app.kernel.routing import IfMatch, Router, Uow
from app.kernel.schemas import Page

router = Router(tags=["data quality"])

ObjectName = Annotated[
    str | None, Query(alias="object", max_length=60, description="Only of this record type.")
]


def _rule(row: Any, response: Response | None = None) -> QualityRuleRead:
    if response is not None:
        tag(response, row)
    return QualityRuleRead.model_validate({name: row.__dict__[name] for name in QualityRuleRead.model_fields})


@router.get("/v1/data-quality-rules", access="signed_in")
async def list_data_quality_rules(uow: Uow, object_name: ObjectName = None) -> Page[QualityRuleRead]:
    """What the company wants its records to be like. One page holds all."""
    return Page[QualityRuleRead](
        data=[_rule(row) for row in await QualityRules(uow).list(object_name)],
        next_cursor=None,
        has_more=False,
        total=None,
        total_is_estimate=None,
    )


@router.post("/v1/data-quality-rules", access="data_quality_rule:manage", status_code=201)
async def create_data_quality_rule(body: QualityRuleCreate, uow: Uow, response: Response) -> QualityRuleRead:
    """Say what a field must be like. A blocking rule is in force at once here, and within seconds everywhere."""
    row = await QualityRules(uow).create(body)
    response.headers["Location"] = f"/v1/data-quality-rules/{row.id}"
    return _rule(row, response)


@router.get("/v1/data-quality-rules/{id}", access="signed_in")
async def get_data_quality_rule(id: UUID, uow: Uow, response: Response) -> QualityRuleRead:
    """Read one rule."""
    return _rule(await QualityRules(uow).get(id), response)


@router.patch("/v1/data-quality-rules/{id}", access="data_quality_rule:manage")
async def update_data_quality_rule(
    id: UUID, body: QualityRuleUpdate, version: IfMatch, uow: Uow, response: Response
) -> QualityRuleRead:
    """Change a rule by merge patch. It holds for what is written from now on."""
    return _rule(await QualityRules(uow).update(id, body, expected_version=version), response)


@router.delete("/v1/data-quality-rules/{id}", access="data_quality_rule:manage", status_code=204)
async def delete_data_quality_rule(id: UUID, version: IfMatch, uow: Uow) -> None:
    """Do without a rule."""
    await QualityRules(uow).delete(id, expected_version=version)


@router.get("/v1/data-quality-rules/{id}/records", access="signed_in")
async def list_data_quality_rule_records(
    id: UUID, uow: Uow, limit: Limit = 50, cursor: Cursor = None
) -> Page[FailingRecord]:
    """The records that break a rule, newest first, as far as you may see them."""
    return await reports.failing(uow, id, limit=limit, cursor=cursor)


@router.get("/v1/data-quality/report", access="signed_in")
async def get_data_quality_report(uow: Uow, object_name: ObjectName = None) -> QualityReport:
    """Per record type and rule how many of the records that you may see break it."""
    return await reports.report(uow, object_name)
