"""What contracts add to accounts: a panel, timeline entries, a guard against deletion, and open work."""

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
from app.modules.contracts.services.contracts import ContractService
from app.modules.customers.interface import CUSTOMER_COLUMNS

_SHOWN = 20
_COLUMNS = {**CUSTOMER_COLUMNS, "opportunity": "opportunity_id"}


class ContractPanel:
    """`AccountPanel`: contracts in force, those that end first ahead, and how many there are of each status."""

    name = "contracts"

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def panel(self, account_ids: Sequence[UUID]) -> Mapping[UUID, Any]:
        """Counts by status, the value in force per currency, and the contracts in force, per account."""
        rows = await visible_of(self._uow, "contract", _PANEL, list(account_ids)) if account_ids else []
        hidden = self._uow.actor.hidden("contract")
        found: dict[UUID, dict[str, Any]] = {}
        for row in rows:
            panel = found.setdefault(
                row["account_id"], {"counts": {}, "active_value": [], "active_contracts": []}
            )
            counts = panel["counts"]
            counts[row["status"]] = counts.get(row["status"], 0) + row["count"]
            if row["status"] == "active" and "value" not in hidden:
                panel["active_value"].append(money_dict(int(row["value"]), row["currency"]))
            panel["active_contracts"] += [_shown(item, hidden) for item in row["items"] or ()]
        for panel in found.values():
            panel["active_contracts"].sort(key=lambda one: (one.get("ends_on") or "9999", one["id"]))
            del panel["active_contracts"][_SHOWN:]
        return found


def _shown(item: dict[str, Any], hidden: frozenset[str]) -> dict[str, Any]:
    currency = item.pop("currency")
    for name in ("value", "drawn"):
        item[name] = money_dict(item[name], currency)
    unseen = hidden | ({"drawn"} if "value" in hidden else set())
    return {name: value for name, value in item.items() if name not in unseen}


class ContractTimeline:
    """`TimelineSource`: when an account's and a contact's contracts came into force, and when they ended."""

    kinds = frozenset({"contract"})

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def entries(
        self, subject: Subject, *, before: Position | None, limit: int
    ) -> Sequence[TimelineEntry]:
        """At most `limit` beginnings and ends older than `before`, newest first; nothing for other subjects."""
        column = _COLUMNS.get(subject.object)
        if column is None:
            return []
        place = (subject.record_id, *place_in_sql(before), limit)
        rows = await visible_of(self._uow, "contract", _ENTRIES, *place, column=column)
        hidden = self._uow.actor.hidden("contract")
        return [
            TimelineEntry(
                id=row["id"],
                at=row["at"],
                kind="contract",
                title=f"{row['verb']}: {row['number'] if 'title' in hidden else row['title']}",
                object="contract",
                record_id=row["contract_id"],
                data={} if "status" in hidden else {"status": row["status"]},
            )
            for row in rows
        ]


class ContractUses(UsesByColumn):
    """`AccountUser`: an account or contact that a contract names, or that is a party of one, is not deleted."""

    columns: ClassVar = CUSTOMER_COLUMNS
    rows: ClassVar = {
        "contracts": "contracts.contracts t WHERE (t.{column} = $2 OR EXISTS (SELECT 1 FROM contracts.parties p"
        " WHERE p.tenant_id = $1 AND p.contract_id = t.id AND p.{column} = $2))"
    }


class ContractWork(GoesAlong):
    """An account's contracts that are not over go along when it changes its owner."""

    service = ContractService
    columns: ClassVar = {"account": "account_id"}
    open = "t.status IN ('draft', 'in_approval', 'approved', 'active')"


_PANEL = """
SELECT t.account_id, t.status, t.currency, count(*) AS count, sum(t.value) AS value,
  (jsonb_agg(jsonb_build_object('id', t.id, 'number', t.number, 'title', t.title, 'kind', t.kind,
    'value', t.value, 'drawn', t.drawn, 'currency', t.currency, 'starts_on', t.starts_on, 'ends_on', t.ends_on,
    'owner_id', t.owner_id)
    ORDER BY t.ends_on, t.id) FILTER (WHERE t.status = 'active')) AS items
FROM contracts.contracts t
WHERE t.tenant_id = $1 AND t.account_id = ANY($2::uuid[]) AND t.deleted_at IS NULL{visible}
GROUP BY t.account_id, t.status, t.currency ORDER BY t.account_id, t.status, t.currency"""

# A contract has at most two entries; the second has an id of its own that is always the same.
_ENTRIES = """
SELECT e.id, e.at, e.verb, e.contract_id, e.number, e.title, e.status FROM (
  SELECT t.id, t.activated_at AS at, 'Contract in force' AS verb, t.id AS contract_id, t.number, t.title, t.status
  FROM contracts.contracts t
  WHERE t.tenant_id = $1 AND t.{column} = $2 AND t.deleted_at IS NULL AND t.revision > 0{visible}
  UNION ALL
  SELECT md5(t.id::text || '/ended')::uuid, t.ended_at, 'Contract ' || t.status, t.id, t.number, t.title, t.status
  FROM contracts.contracts t
  WHERE t.tenant_id = $1 AND t.{column} = $2 AND t.deleted_at IS NULL AND t.ended_at IS NOT NULL{visible}
) e
WHERE e.at IS NOT NULL AND ($3::timestamptz IS NULL OR (e.at, e.id) < ($3, $4::uuid))
ORDER BY e.at DESC, e.id DESC LIMIT $5"""
