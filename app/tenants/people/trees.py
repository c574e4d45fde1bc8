"""Two trees of a tenant, teams and reporting lines: neither may close a circle or grow without end."""

from __future__ import annotations

from typing import Final, Literal
from uuid import UUID

from app.kernel.errors import Invalid
from app.kernel.locks import lock_name
from app.kernel.uow import UnitOfWork

MAX_DEPTH: Final = 20

_ABOVE: Final = {
    "teams": """
WITH RECURSIVE up AS (
  SELECT id, parent_id AS above, 1 AS depth FROM tenants.teams WHERE tenant_id = $1 AND id = $2
  UNION ALL
  SELECT t.id, t.parent_id, up.depth + 1 FROM up JOIN tenants.teams t ON t.tenant_id = $1 AND t.id = up.above
  WHERE up.depth < 100
) SELECT id FROM up""",
    "members": """
WITH RECURSIVE up AS (
  SELECT id, manager_id AS above, 1 AS depth FROM tenants.members WHERE tenant_id = $1 AND id = $2
  UNION ALL
  SELECT m.id, m.manager_id, up.depth + 1 FROM up JOIN tenants.members m ON m.tenant_id = $1 AND m.id = up.above
  WHERE up.depth < 100
) SELECT id FROM up""",
}
_HEIGHT: Final = {
    "teams": """
WITH RECURSIVE down AS (
  SELECT $2::uuid AS id, 1 AS depth
  UNION ALL
  SELECT t.id, down.depth + 1 FROM down JOIN tenants.teams t ON t.tenant_id = $1 AND t.parent_id = down.id
  WHERE down.depth < 100
) SELECT max(depth) AS height FROM down""",
    "members": """
WITH RECURSIVE down AS (
  SELECT $2::uuid AS id, 1 AS depth
  UNION ALL
  SELECT m.id, down.depth + 1 FROM down JOIN tenants.members m ON m.tenant_id = $1 AND m.manager_id = down.id
  WHERE down.depth < 100
) SELECT max(depth) AS height FROM down""",
}


async def check_parent(
    uow: UnitOfWork, tree: Literal["teams", "members"], id: UUID | None, parent: UUID, *, pointer: str
) -> None:
    """May `id` (None: a new node) hang below `parent`? Changes of a tenant's trees wait for each other.

    Raises: Invalid at `pointer` for a circle, or more than twenty levels.
    """
    await lock_name(uow, tree)
    above = [row["id"] for row in await uow.fetch(_ABOVE[tree], uow.tenant_id, parent)]
    if id is not None and id in above:
        raise Invalid.at(pointer, "circle", "This would close a circle.")
    height = 1
    if id is not None:
        row = await uow.fetchrow(_HEIGHT[tree], uow.tenant_id, id)
        height = row["height"] if row else 1
    if len(above) + height > MAX_DEPTH:
        raise Invalid.at(pointer, "too_deep", f"At most {MAX_DEPTH} levels.")
