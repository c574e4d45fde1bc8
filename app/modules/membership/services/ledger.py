"""The ledger of points: holds members, moves their points, and writes balances, lots and entries together.

Whoever moves points holds the members' rows, in the order of their ids, so that a balance is the sum of the ledger at
every moment. What has matured or expired by the day is settled before anything else, so that what a member may spend
does not depend on when a schedule last ran.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any, Final
from uuid import UUID

from app.kernel.ids import new_id
from app.kernel.uow import UnitOfWork
from app.modules.membership.interface import PointsExpired, PointsMatured
from app.modules.membership.models.programmes import LedgerTransaction, PointLot
from app.modules.membership.services.holdings import Holding, Lot, Posting, place_of

FIRST_LOTS: Final = 16
"""So many lots are read at first to be spent; few burns need more."""


class Ledger:
    """Moves points in one transaction."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self.today: date = uow.actor.tenant.day_of(uow.now)
        self._holdings: dict[UUID, Holding] = {}
        self._postings: list[Posting] = []

    async def hold(self, ids: Collection[UUID]) -> dict[UUID, Holding]:
        """Hold these members and settle what of their lots is due. Those that are gone are absent.

        Nothing else is read of their lots, however many there are: `reach` reads what is to be spent.
        """
        uow = self._uow
        rows = await uow.fetch(_HOLD, uow.tenant_id, list(ids))
        found = {
            row["id"]: Holding(
                row["id"],
                row["programme_id"],
                row["points"],
                row["points_pending"],
                row["points_reserved"],
                row["points_debt"],
                row["points_qualifying"],
                whole=False,
            )
            for row in rows
        }
        await self._read_lots(found, _DUE_LOTS, list(found), self.today)
        self._holdings |= found
        for holding in found.values():
            self.settle(holding)
        return found

    @property
    def known(self) -> set[UUID]:
        """Who is held."""
        return set(self._holdings)

    def held(self, id: UUID) -> Holding:
        """A member who is held."""
        return self._holdings[id]

    async def reach(self, wanted: Mapping[UUID, int]) -> None:
        """Read lots of held members, in the order in which they are spent, until they come to so many points.

        What is taken of a member afterwards, in all, must not be more. One statement; more for many small lots, each
        of which reads eight times as many: the last finds fewer than it asked for, whatever was spent in memory.
        """
        most = FIRST_LOTS
        while wanted:
            rows = await self._uow.fetch(_IN_ORDER, self._uow.tenant_id, list(wanted), self.today, most)
            self._add(self._holdings, rows)
            by_member: dict[UUID, list[UUID]] = {id: [] for id in wanted}
            for row in rows:
                by_member[row["member_id"]].append(row["id"])
            wanted = {
                id: points
                for id, points in wanted.items()
                if not _reached(self._holdings[id], by_member[id], points, all_within=most)
            }
            most *= 8

    async def also(self, *, earning_ids: Collection[UUID] = (), lot_ids: Collection[UUID] = ()) -> None:
        """Read further lots of members who are held: of these earnings, or by their ids."""
        if earning_ids or lot_ids:
            await self._read_lots(
                self._holdings, _MORE_LOTS, list(self._holdings), list(earning_ids), list(lot_ids)
            )

    async def _read_lots(self, holdings: dict[UUID, Holding], sql: str, *arguments: Any) -> None:
        if holdings:
            self._add(holdings, await self._uow.fetch(sql, self._uow.tenant_id, *arguments))

    def _add(self, holdings: dict[UUID, Holding], rows: Sequence[Any]) -> None:
        """What is there already stays as it was moved since."""
        known = {lot.id for id in {row["member_id"] for row in rows} for lot in holdings[id].lots}
        for row in rows:
            if row["id"] not in known:
                values = dict(row)
                holdings[values.pop("member_id")].lots.append(Lot(**values))

    def post(
        self,
        kind: str,
        holding: Holding,
        source_key: object,
        *,
        order_id: UUID | None = None,
        note: str | None = None,
    ) -> Posting:
        """A new transaction; the same kind and source happen once (a unique key says so)."""
        made = Posting(new_id(), holding.programme_id, kind, str(source_key), order_id, note)
        self._postings.append(made)
        return made

    def settle(self, holding: Holding) -> None:
        """What has matured can be spent, and what is past its last day is gone."""
        key = f"{holding.member_id}:{self.today}"
        if any(lot.matures_on is not None and lot.matures_on <= self.today for lot in holding.lots):
            matured = holding.mature(self.post("mature", holding, f"{key}:{new_id()}"), self.today)
            if matured:
                self._uow.publish(PointsMatured(id=holding.member_id, points=matured))
        if any(lot.expires_on is not None and lot.expires_on < self.today for lot in holding.lots):
            expired = holding.expire(self.post("expire", holding, f"{key}:{new_id()}"), self.today)
            if expired:
                self._uow.publish(PointsExpired(id=holding.member_id, points=expired))

    async def close(self) -> None:
        """Write everything: transactions with their entries, lots, balances. Five statements, however many.

        It can go on afterwards.
        """
        uow = self._uow
        posted = [one for one in self._postings if any(one.entries.values())]
        await uow.insert_many(LedgerTransaction, [self._transaction(one) for one in posted])
        entries = [
            {"transaction_id": one.id, "member_id": member, "account": account, "currency": currency}
            | {"points": points}
            for one in posted
            for (member, account, currency), points in one.entries.items()
            if points
        ]
        await self._insert_entries(entries)
        await self._write_lots()
        held = list(self._holdings.values())
        await uow.fetch(
            _BALANCES,
            uow.tenant_id,
            [one.member_id for one in held],
            [one.points for one in held],
            [one.pending for one in held],
            [one.reserved for one in held],
            [one.debt for one in held],
            [one.qualifying for one in held],
            uow.now,
        )
        self._postings = []

    async def _insert_entries(self, entries: Sequence[dict[str, Any]]) -> None:
        """All in one statement: the trigger that asks for a sum of zero looks at what a statement adds."""
        names = ("transaction_id", "member_id", "account", "currency", "points")
        await self._uow.fetch(
            _ENTRIES,
            self._uow.tenant_id,
            [new_id() for _ in entries],
            *[[entry[name] for entry in entries] for name in names],
        )

    def _transaction(self, one: Posting) -> dict[str, Any]:
        return {
            "id": one.id,
            "programme_id": one.programme_id,
            "kind": one.kind,
            "source_key": one.source_key,
            "order_id": one.order_id,
            "note": one.note,
            "made_by": self._uow.actor.member_id,
            "at": self._uow.now,
        }

    async def _write_lots(self) -> None:
        uow = self._uow
        lots = [(holding.member_id, lot) for holding in self._holdings.values() for lot in holding.lots]
        await uow.insert_many(
            PointLot,
            [{"member_id": member, **_columns(lot)} for member, lot in lots if lot.new],
        )
        changed = [lot for _, lot in lots if lot.changed and not lot.new]
        if changed:
            await uow.fetch(
                _CHANGED_LOTS,
                uow.tenant_id,
                [lot.id for lot in changed],
                [lot.matures_on for lot in changed],
                [lot.remaining for lot in changed],
                [lot.expired for lot in changed],
                [lot.reversed for lot in changed],
            )
        for _, lot in lots:
            lot.new = lot.changed = False


def _reached(holding: Holding, ids: Sequence[UUID], points: int, *, all_within: int) -> bool:
    """Whether the lots that come first, which these are, hold so many points; or there are no others."""
    by_id = {lot.id: lot for lot in holding.lots}
    found = [by_id[id] for id in ids]
    holding.whole = holding.whole or len(ids) < all_within
    if found:
        holding.read_to = max(place_of(lot) for lot in found)
    return holding.whole or sum(lot.remaining for lot in found if lot.matures_on is None) >= points


def _columns(lot: Lot) -> dict[str, Any]:
    return {name: getattr(lot, name) for name in _LOT_COLUMNS}


_LOT_COLUMNS = (
    "id", "earning_id", "earned_on", "matures_on", "expires_on", "points", "remaining", "expired", "reversed",
)  # fmt: skip
_LOTS = f"SELECT member_id, {', '.join(_LOT_COLUMNS)} FROM membership.lots WHERE tenant_id = $1"
# Each half is a range of ix_lots_in_order; a member has few that are due, but may have thousands that are not.
_DUE_LOTS = f"""
{_LOTS} AND member_id = ANY($2::uuid[]) AND remaining > 0 AND matures_on <= $3
UNION ALL
{_LOTS} AND member_id = ANY($2::uuid[]) AND remaining > 0 AND matures_on IS NULL AND expires_on < $3"""
_IN_ORDER = f"""
SELECT l.* FROM unnest($2::uuid[]) AS w(member_id) CROSS JOIN LATERAL (
  {_LOTS} AND member_id = w.member_id AND remaining > 0 AND matures_on IS NULL
    AND (expires_on IS NULL OR expires_on >= $3)
  ORDER BY matures_on, expires_on, earned_on, id LIMIT $4) l"""
_MORE_LOTS = (
    f"{_LOTS} AND member_id = ANY($2::uuid[]) AND (earning_id = ANY($3::uuid[]) OR id = ANY($4::uuid[]))"
)
_HOLD = """
SELECT id, programme_id, points, points_pending, points_reserved, points_debt, points_qualifying
FROM membership.loyalty_members WHERE tenant_id = $1 AND id = ANY($2::uuid[]) AND deleted_at IS NULL
ORDER BY id FOR UPDATE"""
_BALANCES = """
UPDATE membership.loyalty_members m SET points = n.points, points_pending = n.pending, points_reserved = n.reserved,
  points_debt = n.debt, points_qualifying = n.qualifying, points_at = $8
FROM unnest($2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
  AS n(id, points, pending, reserved, debt, qualifying)
WHERE m.tenant_id = $1 AND m.id = n.id AND (m.points, m.points_pending, m.points_reserved, m.points_debt,
  m.points_qualifying) IS DISTINCT FROM (n.points, n.pending, n.reserved, n.debt, n.qualifying)"""
_ENTRIES = """
INSERT INTO membership.ledger_entries (tenant_id, id, transaction_id, member_id, account, currency, points)
SELECT $1, n.* FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::bigint[]) AS n"""
_CHANGED_LOTS = """
UPDATE membership.lots l SET matures_on = n.matures_on, remaining = n.remaining, expired = n.expired,
  reversed = n.reversed
FROM unnest($2::uuid[], $3::date[], $4::bigint[], $5::bigint[], $6::bigint[])
  AS n(id, matures_on, remaining, expired, reversed)
WHERE l.tenant_id = $1 AND l.id = n.id AND l.id = ANY($2::uuid[])"""
