"""Recomputes what orders drew on contracts, and whether plans come to what the contracts are worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from app.kernel.money_checks import Difference
from app.kernel.uow import UnitOfWork


class ContractsCheck:
    """`MoneyCheck` of this module."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def differences(self) -> Sequence[Difference]:
        found: list[Difference] = []
        for rule, sql in _RULES.items():
            rows = await self._uow.fetch(sql, self._uow.tenant_id)
            found += [
                Difference(rule, "contract", row["id"], str(row["stored"]), str(row["computed"]))
                for row in rows
            ]
        return found


_RULES: Final[dict[str, str]] = {
    "drawings are what is drawn on the contract": """
SELECT c.id, c.drawn AS stored, coalesce(sum(d.amount), 0) AS computed FROM contracts.contracts c
LEFT JOIN contracts.drawings d ON d.tenant_id = c.tenant_id AND d.contract_id = c.id
WHERE c.tenant_id = $1 GROUP BY c.id, c.drawn HAVING c.drawn <> coalesce(sum(d.amount), 0) ORDER BY c.id""",
    "the plan of a contract in force is its value": """
SELECT c.id, c.value AS stored, sum(i.amount) AS computed FROM contracts.contracts c
JOIN contracts.instalments i ON i.tenant_id = c.tenant_id AND i.contract_id = c.id AND i.status <> 'void'
WHERE c.tenant_id = $1 AND c.status = 'active' AND c.deleted_at IS NULL
GROUP BY c.id, c.value HAVING c.value <> sum(i.amount) ORDER BY c.id""",
}
