"""What still names a record that is about to be deleted."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from app.kernel.uow import UnitOfWork


async def live_uses(uow: UnitOfWork, id: UUID, rows: Mapping[str, str]) -> dict[str, int]:
    """How many live rows name a record, by what they are called; none are left out.

    `rows` say which: a table as `t` and a condition with the record as `$2`, as in
    `{"orders": "orders.orders t WHERE t.account_id = $2"}`. One statement.
    """
    counts = ", ".join(
        f"(SELECT count(*) FROM {which} AND t.tenant_id = $1 AND t.deleted_at IS NULL) AS {name}"
        for name, which in rows.items()
    )
    row = await uow.fetchrow(f"SELECT {counts}", uow.tenant_id, id)
    return {} if row is None else {name: count for name, count in row.items() if count}
