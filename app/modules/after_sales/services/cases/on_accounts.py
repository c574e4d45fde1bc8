"""What cases add to accounts, contacts and products: a panel, a timeline, guards against deletion, open work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final
from uuid import UUID

from app.kernel.access import visible_rows
from app.kernel.listing import Bindings
from app.kernel.sharing import GoesAlong
from app.kernel.uow import UnitOfWork
from app.kernel.uses import live_uses
from app.modules.after_sales.services.cases.cases import CaseService
from app.modules.after_sales.services.cases.states import UNRESOLVED_SQL
from app.modules.after_sales.services.moments import Moments, MomentSource
from app.modules.customers.interface import CUSTOMER_COLUMNS

_SHOWN: Final = 20
_COLUMNS: Final = {
    "account": "account_id",
    "contact": "contact_id",
    "product": "product_id",
    "order": "order_id",
    "asset": "asset_id",
    "case": "id",
}


_SAID: Final = (
    "CASE WHEN m.author = 'customer' THEN 'The customer on' WHEN m.public THEN 'Answer on' ELSE 'Note on' END"
)


class CasePanel:
    """`AccountPanel`: how many cases in which state, how many are late, and the newest."""

    name = "cases"

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def panel(self, account_ids: Sequence[UUID]) -> Mapping[UUID, Any]:
        actor = self._uow.actor
        hidden = actor.hidden("case")
        if not account_ids or not actor.may("case:read") or "status" in hidden:
            return {}
        bind = Bindings(self._uow.tenant_id, list(account_ids), self._uow.now)
        visible = visible_rows(actor, "case", "read", bind)
        rows = await self._uow.fetch(
            _PANEL.format(visible=f" AND {visible}" if visible else "", shown=_SHOWN), *bind.values
        )
        found: dict[UUID, dict[str, Any]] = {}
        for row in rows:
            panel = found.setdefault(row["account_id"], {"by_status": {}, "overdue": 0, "newest": []})
            panel["by_status"][row["status"]] = row["count"]
            panel["overdue"] += row["overdue"]
            panel["newest"] += row["newest"]
        for panel in found.values():
            panel["newest"].sort(key=lambda item: (item["opened_at"], item["id"]), reverse=True)
            del panel["newest"][_SHOWN:]
            panel["newest"] = [
                {name: value for name, value in item.items() if name not in hidden}
                for item in panel["newest"]
            ]
            if "due_at" in hidden:
                del panel["overdue"]
        return found


class CaseTimeline(MomentSource):
    """`TimelineSource`: when an account's, contact's, product's, order's or asset's cases were opened and solved."""

    kinds = frozenset({"case"})
    moments = Moments(
        kind="case",
        object="case",
        source="after_sales.cases t",
        columns=_COLUMNS,
        moments=(("t.opened_at", "'Case'"), ("t.resolved_at", "'Solved'")),
        title="t.number || ': ' || t.subject",
        needs=("number", "subject"),
        shows=("status", "priority"),
    )


class CommentTimeline(MomentSource):
    """`TimelineSource`: what was said about those cases; what is internal stays among those who read the case."""

    kinds = frozenset({"case_comment"})
    moments = Moments(
        kind="case_comment",
        object="case",
        source="after_sales.cases t JOIN after_sales.case_comments m"
        " ON m.tenant_id = t.tenant_id AND m.case_id = t.id",
        columns=_COLUMNS,
        moments=(("m.at", _SAID),),
        title="t.number || ': ' || t.subject",
        needs=("number", "subject"),
        id="m.id",
        text="m.body",
        actor="m.member_id",
    )


class CaseUses:
    """`AccountUser`: an account or contact with cases is not deleted."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def uses(self, object_name: str, id: UUID) -> Mapping[str, int]:
        """How many live cases name the account or contact."""
        column = CUSTOMER_COLUMNS.get(object_name)
        if column is None:
            return {}
        return await live_uses(self._uow, id, {"cases": f"after_sales.cases t WHERE t.{column} = $2"})


class CaseProducts:
    """`ProductUser`: a product that cases are about is not deleted."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def uses(self, product_id: UUID) -> Mapping[str, int]:
        """How many live cases are about the product."""
        return await live_uses(
            self._uow, product_id, {"cases": "after_sales.cases t WHERE t.product_id = $2"}
        )


class CaseWork(GoesAlong):
    """An account's unresolved cases go along when it changes its owner; what waits in a queue stays there."""

    service = CaseService
    columns: ClassVar = {"account": "account_id"}
    open = f"t.{UNRESOLVED_SQL} AND t.owner_id IS NOT NULL"


_PANEL: Final = """
SELECT t.account_id, t.status, count(*) AS count, count(*) FILTER (WHERE t.due_at < $3) AS overdue,
  to_jsonb((array_agg(jsonb_build_object('id', t.id, 'number', t.number, 'subject', t.subject, 'status', t.status,
    'priority', t.priority, 'opened_at', t.opened_at, 'due_at', t.due_at, 'owner_id', t.owner_id)
    ORDER BY t.opened_at DESC, t.id DESC))[1:{shown}]) AS newest
FROM after_sales.cases t
WHERE t.tenant_id = $1 AND t.account_id = ANY($2::uuid[]) AND t.deleted_at IS NULL{visible}
GROUP BY 1, 2 ORDER BY 1, 2"""
