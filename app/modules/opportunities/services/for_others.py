"""`Opportunities` for other modules, bound to their transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from uuid import UUID

from pydantic import ValidationError

from app.kernel.access import visible_rows
from app.kernel.errors import FieldError, Invalid
from app.kernel.listing import Bindings
from app.kernel.money import Money
from app.kernel.uow import UnitOfWork
from app.kernel.validation import fields_of, pointer_of
from app.modules.customers.interface import Customers
from app.modules.opportunities.interface import (
    NewOpportunity,
    OpportunityLineRef,
    OpportunityRef,
    OutcomeCount,
    Place,
)
from app.modules.opportunities.models import Opportunity
from app.modules.opportunities.models.selling import Line
from app.modules.opportunities.schemas import OpportunityCreate
from app.modules.opportunities.services.opportunities import OpportunityService
from app.modules.opportunities.services.outcomes import money_of
from app.modules.opportunities.services.pipelines import PipelineService


class OpportunitiesOfTenant:
    """Opportunities as far as the actor sees them."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def open(self, new: NewOpportunity) -> OpportunityRef:
        service = OpportunityService(self._uow)
        pipeline = await service.pipelines.choose(new.pipeline, pointer="/opportunity/pipeline")
        stage = pipeline.stage(new.stage, "/opportunity/stage").key if new.stage else None
        fields = {name: getattr(new, name) for name in _SAME} | {"pipeline_id": pipeline.id, "stage": stage}
        try:
            body = OpportunityCreate.model_validate(fields)
        except ValidationError as error:
            raise _invalid(error) from None
        given = fields_of(body) | {"custom": dict(new.custom), "lead_id": new.lead_id}
        made = await service.open_for(new.owner_id, given)
        if made.account_id is not None:
            await self._uow.of(Customers).advance(made.account_id, "opportunity")
        return reference(made)

    async def place(self, new: NewOpportunity) -> Place:
        pipeline = await PipelineService(self._uow).choose(new.pipeline, pointer="/opportunity/pipeline")
        stage = pipeline.stage(new.stage, "/opportunity/stage") if new.stage else pipeline.first
        return Place(pipeline.key, stage.key, stage.probability)

    async def get_many(self, ids: Collection[UUID]) -> Mapping[UUID, OpportunityRef]:
        if not ids or not self._uow.actor.may("opportunity:read"):
            return {}
        rows = await OpportunityService(self._uow).get_many(list(ids))
        return {id: reference(row) for id, row in rows.items()}

    async def won_amounts(self, ids: Collection[UUID]) -> Mapping[UUID, Money | None]:
        actor = self._uow.actor
        if not ids or not actor.may("opportunity:read"):
            return {}
        bind = Bindings(self._uow.tenant_id, list(ids))
        visible = visible_rows(actor, "opportunity", "read", bind)
        rows = await self._uow.fetch(
            "SELECT t.id, t.amount, t.currency FROM opportunities.opportunities t WHERE t.tenant_id = $1"
            " AND t.id = ANY($2::uuid[]) AND t.status = 'won' AND t.deleted_at IS NULL"
            f"{f' AND {visible}' if visible else ''}",
            *bind.values,
        )
        hidden = "amount" in actor.hidden("opportunity")
        return {
            row["id"]: None if hidden or row["amount"] is None else Money(row["amount"], row["currency"])
            for row in rows
        }

    async def lines_of(self, opportunity_id: UUID) -> Sequence[OpportunityLineRef]:
        hidden = "amount" in self._uow.actor.hidden("opportunity")
        if hidden or opportunity_id not in await self.get_many([opportunity_id]):
            return []
        statement = self._uow.select(Line).where(Line.opportunity_id == opportunity_id)
        return [
            OpportunityLineRef(
                product_id=line.product_id,
                product_name=line.product_name,
                description=line.description,
                quantity=line.quantity,
                unit_price=line.unit_price,
                currency=line.currency,
                discount_percent=line.discount_percent,
                discount_amount=line.discount_amount,
            )
            for line in await self._uow.all(statement.order_by(Line.position, Line.id))
        ]

    async def outcomes(self, owner_ids: Collection[UUID], *, since: date) -> Sequence[OutcomeCount]:
        actor = self._uow.actor
        hidden = actor.hidden("opportunity")
        if not actor.may("opportunity:read") or hidden & {"status", "owner_id", "closed_on"}:
            return []
        bind = Bindings(self._uow.tenant_id, list(owner_ids), since, actor.tenant.currency)
        visible = visible_rows(actor, "opportunity", "read", bind)
        source, account, lead = (
            f"NULL::{kind}" if name in hidden else f"t.{name}"
            for name, kind in (("source", "text"), ("account_id", "uuid"), ("lead_id", "uuid"))
        )
        known = "false" if "amount" in hidden else "t.status = 'won' AND t.currency = $4::text"
        rows = await self._uow.fetch(
            "SELECT CASE WHEN t.owner_id = ANY($2::uuid[]) THEN t.owner_id END AS owner_id,"
            f" {source} AS source, {account} AS account_id, {lead} AS lead_id,"
            " count(*) FILTER (WHERE t.status = 'won') AS won, count(*) FILTER (WHERE t.status = 'lost') AS lost,"
            f" count(*) FILTER (WHERE {known}) AS amounts,"
            f" coalesce(sum(t.amount) FILTER (WHERE {known}), 0)::bigint AS amount"
            " FROM opportunities.opportunities t WHERE t.tenant_id = $1 AND t.closed_on >= $3::date"
            " AND $4::text IS NOT NULL AND t.status IN ('won', 'lost') AND t.deleted_at IS NULL"
            f"{f' AND {visible}' if visible else ''} GROUP BY 1, 2, 3, 4",
            *bind.values,
        )
        return [OutcomeCount(*row) for row in rows]


_SAME = (
    "name", "account_id", "contact_id", "amount", "expected_close_on", "source", "external_id",
    "product_name", "next_step", "description", "owner_id", "team_id",
)  # fmt: skip


def reference(row: Opportunity) -> OpportunityRef:
    """An opportunity as others show it."""
    return OpportunityRef(
        id=row.id,
        name=row.name,
        account_id=row.account_id,
        owner_id=row.owner_id,
        stage=row.stage,
        status=row.status,
        probability=row.probability,
        amount=money_of(row),
        expected_close_on=row.expected_close_on,
        closed_on=row.closed_on,
        contact_id=row.contact_id,
    )


def _invalid(error: ValidationError) -> Invalid:
    """What does not fit, with pointers into the caller's `opportunity`."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    errors = [
        FieldError(f"/opportunity{pointer_of(one['loc'])}", str(one["type"]), str(one["msg"]))
        for one in found
    ]
    return Invalid(errors[0].detail, errors=errors)
