"""Who sees records that lie in pools, and how many of them a member may open on one day.

Members of a pool see its records though nobody owns them: their snapshot names the pools (`reach`). Opening one
counts once per member, record and day of the tenant's time zone; who administers the pool opens any number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from app.kernel.access import Reach
from app.kernel.db import Connection
from app.kernel.uow import UnitOfWork
from app.modules.customers.interface import PoolViewLimitReached
from app.modules.customers.services.pools.days import local_day
from app.modules.customers.services.pools.desk import MANAGE, Desk

_REACH = """
SELECT p.object,
  array_agg(p.id ORDER BY p.id) FILTER (WHERE m.is_admin OR $4
    OR (p.is_enabled AND (p.open_to_all OR m.is_admin IS NOT NULL))) AS ids,
  array_agg(p.id ORDER BY p.id) FILTER (WHERE p.mask_contacts AND NOT (coalesce(m.is_admin, false) OR $4)) AS veiled
FROM customers.pools p LEFT JOIN LATERAL (
  SELECT bool_or(is_admin) AS is_admin FROM customers.pool_members m
  WHERE m.tenant_id = $1 AND m.pool_id = p.id AND (m.member_id = $2 OR m.team_id = ANY($3::uuid[]))
) m ON true
WHERE p.tenant_id = $1 AND p.deleted_at IS NULL GROUP BY p.object"""


async def pool_reach(
    connection: Connection, tenant_id: UUID, member_id: UUID, team_ids: Sequence[UUID], manages: bool
) -> Mapping[str, Reach]:
    """The pools whose records a member sees, and those in which addresses and numbers are veiled for them."""
    rows = await connection.fetch(_REACH, tenant_id, member_id, list(team_ids), manages)
    return {
        row["object"]: Reach("pool_id", tuple(row["ids"] or ()), tuple(row["veiled"] or ())) for row in rows
    }


class Views:
    """Counts what is opened."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    async def opened(self, record_id: UUID, pool_id: UUID) -> None:
        """A member opens a record of a pool. Raises `PoolViewLimitReached`, and then nothing is counted."""
        uow = self.uow
        member = uow.actor.member_id
        if member is None or uow.actor.may(MANAGE):
            return
        standing = await Desk(uow).find(pool_id)
        if standing is None or standing.is_admin or standing.pool.view_limit_per_day is None:
            return
        limit, day = standing.pool.view_limit_per_day, local_day(uow)
        await uow.begin_writing()
        row = await uow.fetchrow(_OPENED, uow.tenant_id, pool_id, member, day, record_id, limit)
        if row is not None and row["is_new"] and not row["is_counted"]:
            raise PoolViewLimitReached(limit=limit, day=day.isoformat())


_OPENED = """
WITH seen AS (
  INSERT INTO customers.pool_views (tenant_id, member_id, day, record_id) VALUES ($1, $3, $4, $5)
  ON CONFLICT DO NOTHING RETURNING 1
), counted AS (
  INSERT INTO customers.pool_uses AS u (tenant_id, pool_id, member_id, day, claims, views)
  SELECT $1::uuid, $2::uuid, $3::uuid, $4::date, 0, 1 FROM seen
  ON CONFLICT (tenant_id, pool_id, member_id, day) DO UPDATE SET views = u.views + 1 WHERE u.views < $6
  RETURNING 1
)
SELECT EXISTS (SELECT 1 FROM seen) AS is_new, EXISTS (SELECT 1 FROM counted) AS is_counted"""
