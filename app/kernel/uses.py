"""What still names a record that is about to be deleted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar
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


class UsesByColumn:
    """Guards records of other types against deletion: live rows that name one of them in a column keep it.

    `columns` say by object in which column, `rows` which rows as for `live_uses`, with that column as `{column}`.
    """

    columns: ClassVar[Mapping[str, str]]
    rows: ClassVar[Mapping[str, str]]

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def uses(self, object_name: str, id: UUID) -> Mapping[str, int]:
        """How many live rows name the record; nothing for other objects."""
        column = self.columns.get(object_name)
        if column is None:
            return {}
        return await live_uses(
            self._uow, id, {name: which.format(column=column) for name, which in self.rows.items()}
        )
