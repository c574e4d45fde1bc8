"""Recomputes what quotes come to from their lines, and what was accepted from the answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from app.kernel.money_checks import Difference
from app.kernel.uow import UnitOfWork


class QuotesCheck:
    """`MoneyCheck` of this module."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def differences(self) -> Sequence[Difference]:
        found: list[Difference] = []
        for rule, sql in _RULES.items():
            rows = await self._uow.fetch(sql, self._uow.tenant_id)
            found += [Difference(rule, "quote", row["id"], row["stored"], row["computed"]) for row in rows]
        return found


_RULES: Final[dict[str, str]] = {
    "lines that count are the quote": """
SELECT q.id,
  concat_ws(' ', q.gross, q.discount, q.header_discount, q.net, q.tax, q.total) AS stored,
  concat_ws(' ', s.gross, s.discount, s.header_discount, s.net, s.tax, s.total) AS computed
FROM quotes.quotes q
CROSS JOIN LATERAL (
  SELECT coalesce(sum(l.gross), 0) AS gross, coalesce(sum(l.discount), 0) AS discount,
    coalesce(sum(l.header_discount), 0) AS header_discount, coalesce(sum(l.net), 0) AS net,
    coalesce(sum(l.tax), 0) AS tax, coalesce(sum(l.total), 0) AS total,
    coalesce(sum(l.total) FILTER (WHERE l.charge = 'one_time'), 0) AS one_time,
    coalesce(sum(l.total) FILTER (WHERE l.charge = 'monthly'), 0) AS monthly,
    coalesce(sum(l.total) FILTER (WHERE l.charge = 'yearly'), 0) AS yearly
  FROM quotes.quote_lines l
  LEFT JOIN quotes.quote_lines b
    ON b.tenant_id = l.tenant_id AND b.quote_id = l.quote_id AND b.position = l.component_of
  WHERE l.tenant_id = q.tenant_id AND l.quote_id = q.id AND NOT l.optional AND NOT coalesce(b.optional, false)
) s
WHERE q.tenant_id = $1 AND q.deleted_at IS NULL
  AND (q.gross, q.discount, q.header_discount, q.net, q.tax, q.total, q.one_time_total, q.monthly_total,
    q.yearly_total) IS DISTINCT FROM
  (s.gross, s.discount, s.header_discount, s.net, s.tax, s.total, s.one_time, s.monthly, s.yearly)
ORDER BY q.id""",
    "coupons are what they take off lines and the quote": """
SELECT q.id, concat_ws(' ', q.benefit_discount, l.lines) AS stored, b.steps::text AS computed
FROM quotes.quotes q
CROSS JOIN LATERAL (
  SELECT coalesce(sum((step ->> 'discount')::bigint), 0)::bigint AS steps FROM jsonb_array_elements(q.benefits) step
) b
CROSS JOIN LATERAL (
  SELECT coalesce(sum(benefit_discount), 0)::bigint AS lines FROM quotes.quote_lines
  WHERE tenant_id = $1 AND quote_id = q.id
) l
WHERE q.tenant_id = $1 AND q.deleted_at IS NULL AND (q.benefit_discount <> l.lines OR q.benefit_discount <> b.steps)
ORDER BY q.id""",
    "what was accepted is what the customer answered": """
SELECT q.id, q.accepted_total::text AS stored, coalesce(a.total::text, 'no answer') AS computed
FROM quotes.quotes q
LEFT JOIN quotes.quote_answers a ON a.tenant_id = q.tenant_id AND a.quote_id = q.id AND a.kind = 'accepted'
WHERE q.tenant_id = $1 AND q.status = 'accepted' AND q.deleted_at IS NULL
  AND q.accepted_total IS DISTINCT FROM a.total
ORDER BY q.id""",
}
