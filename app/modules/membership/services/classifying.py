"""Groups members by recency, frequency and amount (RFM), per programme, in one statement.

Only orders count of which something was kept. Of each of the three figures a member gets a score from 1 to 5:

    score = 1 + floor(5 x members who are strictly worse / members who bought)

so equal figures always get equal scores, and with figures that all differ each score goes to a fifth. Worse is an
older last order, fewer orders, or a smaller amount (returns taken off). The group, first that fits:

    champions   R, F and M at least 4
    loyal       R at least 3 and F at least 4
    promising   R at least 4
    at_risk     R at most 2, and F or M at least 4
    hibernating R at most 2
    regular     everybody else

and the value class: high from a sum of 12, medium from 8, else low. Who never bought is in no group, and who gave
everything back is in the group none.
"""

from __future__ import annotations

from uuid import UUID

from app.kernel.statements import rows_of
from app.kernel.uow import UnitOfWork
from app.modules.membership.interface import ClassChanged
from app.modules.membership.models.programmes import Programme


async def classify(uow: UnitOfWork, programme: Programme) -> int:
    """Write scores, group, value class and what they rest on to the members; how many changed groups."""
    today = uow.actor.tenant.day_of(uow.now)
    rows = await uow.fetch(_CLASSIFY, uow.tenant_id, programme.id, today, uow.now, programme.currency)
    rows += await uow.fetch(_GAVE_ALL_BACK, uow.tenant_id, programme.id, uow.now)
    changed = [row for row in rows if row["former"] != row["rfm_class"]]
    for row in changed:
        id: UUID = row["id"]
        uow.publish(ClassChanged(id=id, from_class=row["former"], to_class=row["rfm_class"]))
        uow.record_audit("loyalty_member", id, "classified", {"rfm_class": [row["former"], row["rfm_class"]]})
    return len(changed)


_CLASSIFY = """
WITH figures AS (
  SELECT m.id, m.rfm_class AS former, max(e.earned_on) AS last_on, sum(e.visits)::bigint AS frequency,
    sum(e.amount - e.amount_returned)::bigint AS monetary
  FROM membership.loyalty_members m
  JOIN membership.earnings e ON e.tenant_id = m.tenant_id AND e.member_id = m.id AND e.visits > 0
  WHERE m.tenant_id = $1 AND m.programme_id = $2 AND m.deleted_at IS NULL AND m.status = 'active'
  GROUP BY m.id, m.rfm_class
), scored AS (
  SELECT f.*, count(*) OVER () AS members,
    1 + 5 * (rank() OVER (ORDER BY last_on) - 1) / count(*) OVER () AS r,
    1 + 5 * (rank() OVER (ORDER BY frequency) - 1) / count(*) OVER () AS f,
    1 + 5 * (rank() OVER (ORDER BY monetary) - 1) / count(*) OVER () AS m
  FROM figures f
), grouped AS (
  SELECT s.*, concat(r, f, m) AS scores,
    CASE WHEN r >= 4 AND f >= 4 AND m >= 4 THEN 'champions' WHEN r >= 3 AND f >= 4 THEN 'loyal'
      WHEN r >= 4 THEN 'promising' WHEN r <= 2 AND (f >= 4 OR m >= 4) THEN 'at_risk'
      WHEN r <= 2 THEN 'hibernating' ELSE 'regular' END AS class,
    CASE WHEN r + f + m >= 12 THEN 'high' WHEN r + f + m >= 8 THEN 'medium' ELSE 'low' END AS value,
    jsonb_build_object('recency_days', $3::date - last_on, 'last_order_on', last_on, 'frequency', frequency,
      'amount_minor', monetary, 'currency', $5::text, 'recency_score', r, 'frequency_score', f, 'amount_score', m,
      'members_compared', members) AS explanation
  FROM scored s
)
UPDATE membership.loyalty_members t SET rfm_class = g.class, rfm_scores = g.scores, value_class = g.value,
  rfm_explanation = g.explanation, rfm_at = $4,
  version = t.version + (t.rfm_class IS DISTINCT FROM g.class OR t.value_class IS DISTINCT FROM g.value)::int,
  points_at = $4
FROM grouped g
WHERE t.tenant_id = $1 AND t.id = g.id AND t.rfm_explanation IS DISTINCT FROM g.explanation
RETURNING t.id, g.former, t.rfm_class"""
_GAVE_ALL_BACK = f"""
WITH former AS (
  SELECT m.id, m.rfm_class AS former FROM membership.loyalty_members m
  WHERE m.tenant_id = $1 AND m.programme_id = $2 AND m.deleted_at IS NULL AND m.rfm_class <> 'none'
    AND NOT EXISTS (SELECT 1 FROM membership.earnings e
      WHERE e.tenant_id = $1 AND e.member_id = m.id AND e.visits > 0)
)
UPDATE membership.loyalty_members t SET rfm_class = 'none', rfm_scores = NULL, value_class = 'low',
  rfm_explanation = jsonb_build_object('frequency', 0), rfm_at = $3, points_at = $3, version = t.version + 1
FROM {rows_of("former", "id", "former")} WHERE t.tenant_id = $1 AND t.id = former.id
RETURNING t.id, former.former, t.rfm_class"""
