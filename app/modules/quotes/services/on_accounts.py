"""What quotes add to accounts and products: a panel, timeline entries, guards against deletion, and open work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final
from uuid import UUID

from app.kernel.money import money_dict
from app.kernel.record_reads import visible_of
from app.kernel.sharing import GoesAlong
from app.kernel.uow import UnitOfWork
from app.kernel.uses import UsesByColumn, live_uses
from app.modules.activities.interface import Position, Subject, TimelineEntry, place_in_sql
from app.modules.customers.interface import CUSTOMER_COLUMNS
from app.modules.quotes.services.quotes import QuoteService
from app.modules.quotes.services.states import OPEN

_SHOWN: Final = 20
_COLUMNS: Final = {**CUSTOMER_COLUMNS, "opportunity": "opportunity_id"}
_OPEN: Final = ", ".join(f"'{status}'" for status in OPEN)
_VERBS: Final = {
    "create": "Made", "revise": "Revised", "submit": "Submitted", "approve": "Approved", "refuse": "Not approved",
    "recall": "Recalled", "send": "Sent", "view": "Read by the customer", "accept": "Accepted", "decline": "Declined",
    "expire": "Expired", "supersede": "Superseded", "withdraw": "Withdrawn",
}  # fmt: skip


class QuotePanel:
    """`AccountPanel`: how many quotes stand how, what the open ones come to, and which those are."""

    name = "quotes"

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def panel(self, account_ids: Sequence[UUID]) -> Mapping[UUID, Any]:
        """Counts by status, open totals per currency and the open quotes, those that run out first ahead."""
        rows = await visible_of(self._uow, "quote", _PANEL, list(account_ids)) if account_ids else []
        hidden = self._uow.actor.hidden("quote")
        found: dict[UUID, dict[str, Any]] = {}
        totals: dict[UUID, dict[str, int]] = {}
        for row in rows:
            panel = found.setdefault(row["account_id"], {"counts": {}, "open_total": [], "open_quotes": []})
            counts = panel["counts"]
            counts[row["status"]] = counts.get(row["status"], 0) + row["count"]
            if row["status"] in OPEN:
                sums = totals.setdefault(row["account_id"], {})
                sums[row["currency"]] = sums.get(row["currency"], 0) + int(row["total"])
                panel["open_quotes"] += [_shown(item, hidden) for item in row["items"]]
        for id, panel in found.items():
            if "total" not in hidden:
                panel["open_total"] = [money_dict(sums, code) for code, sums in totals.get(id, {}).items()]
            panel["open_quotes"].sort(key=lambda quote: (quote.get("valid_until") or "9999", quote["id"]))
            del panel["open_quotes"][_SHOWN:]
        return found


def _shown(item: dict[str, Any], hidden: frozenset[str]) -> dict[str, Any]:
    total, currency = item.pop("total"), item.pop("currency")
    item["total"] = money_dict(total, currency)
    return {name: value for name, value in item.items() if name not in hidden}


class QuoteTimeline:
    """`TimelineSource`: the quotes of an account, contact or opportunity as they move through their states."""

    kinds = frozenset({"quote"})

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def entries(
        self, subject: Subject, *, before: Position | None, limit: int
    ) -> Sequence[TimelineEntry]:
        """At most `limit` steps older than `before`, newest first; nothing for other subjects."""
        column = _COLUMNS.get(subject.object)
        if column is None:
            return []
        place = (subject.record_id, *place_in_sql(before), limit)
        rows = await visible_of(self._uow, "quote", _ENTRIES, *place, column=column)
        return [_entry(row, self._uow.actor.hidden("quote")) for row in rows]


def _entry(row: Any, hidden: frozenset[str]) -> TimelineEntry:
    data = {"action": row["action"], "from_status": row["from_status"], "to_status": row["to_status"]}
    if "total" not in hidden:
        data["total"] = money_dict(row["total"], row["currency"])
    number = f"{row['number']} rev. {row['revision']}"
    return TimelineEntry(
        id=row["id"],
        at=row["at"],
        kind="quote",
        title=f"{_VERBS[row['action']]}: {number}" + ("" if "name" in hidden else f" · {row['name']}"),
        text=row["note"],
        actor_id=row["actor_id"],
        object="quote",
        record_id=row["quote_id"],
        data=data,
    )


class QuoteUses(UsesByColumn):
    """`AccountUser`: an account or contact with quotes is not deleted."""

    columns: ClassVar = CUSTOMER_COLUMNS
    rows: ClassVar = {"quotes": "quotes.quotes t WHERE t.{column} = $2"}


class QuotedProducts:
    """`ProductUser`: what is offered is not deleted."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def uses(self, product_id: UUID) -> Mapping[str, int]:
        """How many live quotes offer the product."""
        of_lines = "SELECT l.quote_id FROM quotes.quote_lines l WHERE l.tenant_id = $1 AND l.product_id = $2"
        return await live_uses(
            self._uow, product_id, {"quotes": f"quotes.quotes t WHERE t.id IN ({of_lines})"}
        )


class QuoteWork(GoesAlong):
    """The open quotes of an account or opportunity go along when it changes its owner."""

    service = QuoteService
    columns: ClassVar = {"account": "account_id", "opportunity": "opportunity_id"}
    open = f"t.status IN ({_OPEN})"


_PANEL = f"""
SELECT t.account_id, t.status, t.currency, count(*) AS count, sum(t.total) AS total,
  (CASE WHEN t.status IN ({_OPEN}) THEN jsonb_agg(jsonb_build_object('id', t.id, 'number', t.number, 'revision',
    t.revision, 'name', t.name, 'status', t.status, 'total', t.total, 'currency', t.currency, 'valid_until',
    t.valid_until, 'owner_id', t.owner_id) ORDER BY t.valid_until, t.id) END) AS items
FROM quotes.quotes t
WHERE t.tenant_id = $1 AND t.account_id = ANY($2::uuid[]) AND t.deleted_at IS NULL{{visible}}
GROUP BY t.account_id, t.status, t.currency ORDER BY t.account_id, t.status, t.currency"""

_ENTRIES = """
SELECT s.id, s.quote_id, s.action, s.from_status, s.to_status, s.at, s.actor_id, s.note, t.number, t.revision,
  t.name, t.total, t.currency
FROM quotes.quotes t
JOIN quotes.quote_steps s ON s.tenant_id = t.tenant_id AND s.quote_id = t.id
WHERE t.tenant_id = $1 AND t.{column} = $2 AND t.deleted_at IS NULL
  AND ($3::timestamptz IS NULL OR (s.at, s.id) < ($3, $4::uuid)){visible}
ORDER BY s.at DESC, s.id DESC LIMIT $5"""
