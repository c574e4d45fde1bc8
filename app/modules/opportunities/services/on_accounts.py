"""What opportunities add to accounts: a panel, timeline entries, a guard against deletion, and open work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

from app.kernel.money import money_dict
from app.kernel.record_reads import visible_of
from app.kernel.sharing import GoesAlong
from app.kernel.uow import UnitOfWork
from app.kernel.uses import UsesByColumn
from app.modules.activities.interface import Position, Subject, TimelineEntry, place_in_sql
from app.modules.customers.interface import CUSTOMER_COLUMNS
from app.modules.opportunities.services.opportunities import OpportunityService

_SHOWN = 20


class OpportunityPanel:
    """`AccountPanel`: open opportunities, the ones due first ahead, and what was won."""

    name = "opportunities"

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def panel(self, account_ids: Sequence[UUID]) -> Mapping[UUID, Any]:
        """Counts by status, sums per currency and the open opportunities, per account."""
        rows = await visible_of(self._uow, "opportunity", _PANEL, list(account_ids)) if account_ids else []
        hidden = self._uow.actor.hidden("opportunity")
        found: dict[UUID, dict[str, Any]] = {}
        for row in rows:
            panel = found.setdefault(
                row["account_id"],
                {
                    "open": 0,
                    "won": 0,
                    "lost": 0,
                    "open_amount": [],
                    "won_amount": [],
                    "open_opportunities": [],
                },
            )
            panel[row["status"]] += row["count"]
            if row["status"] != "lost" and row["currency"] and "amount" not in hidden:
                panel[f"{row['status']}_amount"].append(money_dict(int(row["amount"]), row["currency"]))
            panel["open_opportunities"] += [_shown(item, hidden) for item in row["items"] or ()]
        for panel in found.values():
            panel["open_opportunities"].sort(key=lambda o: (o.get("expected_close_on") or "9999", o["id"]))
            del panel["open_opportunities"][_SHOWN:]
        return found


def _shown(item: dict[str, Any], hidden: frozenset[str]) -> dict[str, Any]:
    amount, currency = item.pop("amount"), item.pop("currency")
    item["amount"] = None if amount is None else money_dict(amount, currency)
    return {name: value for name, value in item.items() if name not in hidden}


class OpportunityTimeline:
    """`TimelineSource`: an account's and a contact's opportunities as they move from stage to stage."""

    kinds = frozenset({"opportunity"})

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def entries(
        self, subject: Subject, *, before: Position | None, limit: int
    ) -> Sequence[TimelineEntry]:
        """At most `limit` stage changes older than `before`, newest first; nothing for other subjects."""
        column = CUSTOMER_COLUMNS.get(subject.object)
        if column is None:
            return []
        place = (subject.record_id, *place_in_sql(before), limit)
        rows = await visible_of(self._uow, "opportunity", _ENTRIES, *place, column=column)
        return [_entry(row, self._uow.actor.hidden("opportunity")) for row in rows]


def _entry(row: Any, hidden: frozenset[str]) -> TimelineEntry:
    verb = {"won": "Won", "lost": "Lost"}.get(row["status"]) or (
        "Stage changed" if row["from_stage"] else "Opened"
    )
    data = {"from_stage": row["from_stage"], "to_stage": row["to_stage"], "status": row["status"]}
    if row["amount"] is not None and "amount" not in hidden:
        data["amount"] = money_dict(row["amount"], row["currency"])
    return TimelineEntry(
        id=row["id"],
        at=row["entered_at"],
        kind="opportunity",
        title=f"{verb}: {row['name']}",
        actor_id=row["changed_by"],
        object="opportunity",
        record_id=row["opportunity_id"],
        data=data,
    )


class OpportunityUses(UsesByColumn):
    """`AccountUser`: an account or contact with opportunities is not deleted."""

    columns: ClassVar = CUSTOMER_COLUMNS
    rows: ClassVar = {"opportunities": "opportunities.opportunities t WHERE t.{column} = $2"}


class OpportunityWork(GoesAlong):
    """An account's open opportunities go along when it changes its owner."""

    service = OpportunityService
    columns: ClassVar = {"account": "account_id"}
    open = "t.status = 'open'"


_PANEL = """
SELECT t.account_id, t.status, t.currency, count(*) AS count, sum(t.amount) AS amount,
  (jsonb_agg(jsonb_build_object('id', t.id, 'name', t.name, 'stage', t.stage, 'probability', t.probability,
    'amount', t.amount, 'currency', t.currency, 'expected_close_on', t.expected_close_on, 'owner_id', t.owner_id)
    ORDER BY t.expected_close_on, t.id) FILTER (WHERE t.status = 'open')) AS items
FROM opportunities.opportunities t
WHERE t.tenant_id = $1 AND t.account_id = ANY($2::uuid[]) AND t.deleted_at IS NULL{visible}
GROUP BY t.account_id, t.status, t.currency ORDER BY t.account_id, t.status, t.currency"""

_ENTRIES = """
SELECT h.id, h.opportunity_id, h.from_stage, h.to_stage, h.status, h.entered_at, h.changed_by, h.amount, h.currency,
  t.name
FROM opportunities.opportunities t
JOIN opportunities.stage_history h ON h.tenant_id = t.tenant_id AND h.opportunity_id = t.id
WHERE t.tenant_id = $1 AND t.{column} = $2 AND t.deleted_at IS NULL
  AND ($3::timestamptz IS NULL OR (h.entered_at, h.id) < ($3, $4::uuid)){visible}
ORDER BY h.entered_at DESC, h.id DESC LIMIT $5"""
