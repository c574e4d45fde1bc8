"""Who was brought in stays so when accounts or contacts become one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from app.kernel.merging.ports import Merging, Moved
from app.kernel.statements import rows_of
from app.kernel.uow import UnitOfWork


class ReferredHolders:
    """`Merger`: nobody is brought in a second time, or in a circle, by being merged.

    Where both were brought in to one programme, the referral of the one that is merged away stays as it is: the
    other keeps the survivor from being brought in again.
    """

    name = "membership.referrals.referred_holder"
    kind = "referrals"
    objects = frozenset({"account", "contact"})
    columns = frozenset({name})

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    def present(self, merging: Merging) -> str:  # noqa: ARG002 - ids are of one type only
        return (
            "EXISTS (SELECT 1 FROM membership.referrals t WHERE t.tenant_id = $1"
            " AND t.referred_holder = ANY($2::uuid[]))"
        )

    async def move(self, merging: Merging) -> list[Moved]:
        uow = self._uow
        rows = await uow.fetch(_MOVE, uow.tenant_id, merging.survivor_id, list(merging.merged_ids))
        return [Moved(row["id"], row["former"]) for row in rows]

    async def restore(self, merging: Merging, moved: Sequence[Moved]) -> int:
        uow = self._uow
        rows = await uow.fetch(
            _RESTORE,
            uow.tenant_id,
            merging.survivor_id,
            [one.row_id for one in moved],
            [one.former_id for one in moved],
        )
        return len(rows)


_MOVE: Final = f"""
WITH moving AS (
  SELECT t.id, t.referred_holder AS former, t.status = 'rejected' AS rejected, row_number() OVER (
    PARTITION BY t.programme_id, t.status = 'rejected' ORDER BY t.id) AS place,
    EXISTS (SELECT 1 FROM membership.referrals s WHERE s.tenant_id = $1 AND s.programme_id = t.programme_id
      AND s.referred_holder = $2 AND s.status <> 'rejected') AS taken
  FROM membership.referrals t WHERE t.tenant_id = $1 AND t.referred_holder = ANY($3::uuid[])
)
UPDATE membership.referrals t SET referred_holder = $2
FROM {rows_of("moving", "id", "former", "rejected", "place", "taken")}
WHERE t.tenant_id = $1 AND t.id = moving.id AND (moving.rejected OR (moving.place = 1 AND NOT moving.taken))
RETURNING t.id, moving.former"""
_RESTORE: Final = """
UPDATE membership.referrals t SET referred_holder = m.former FROM unnest($3::uuid[], $4::uuid[]) AS m(id, former)
WHERE t.tenant_id = $1 AND t.id = m.id AND t.referred_holder = $2 RETURNING t.id"""
