"""What activities are about, when records are merged and when that is undone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from app.kernel.merging.ports import Merging, Moved
from app.kernel.merging.references import LinkColumn
from app.kernel.statements import rows_of
from app.kernel.uow import UnitOfWork
from app.modules.activities.services.activities import ACTIVITY

About = list[dict[str, str]]


def attendees(uow: UnitOfWork) -> LinkColumn:
    """Contacts and leads who are invited; nobody is invited to the same thing twice."""
    return LinkColumn(
        uow,
        "activities.attendees",
        "record_id",
        kind="invitations",
        objects=["contact", "lead"],
        unique="t.activity_id",
        by_object=True,
    )


class ActivitySubjects:
    """`Merger`: links from activities to records, and the copy of them that each activity has in `about`.

    A link is known by its activity, since editing an activity makes its links anew.
    """

    name = "activities.links"
    kind = "activities"
    columns = frozenset({"activities.links.record_id"})

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self.objects = frozenset(name for name, record in uow.kernel.registry.records.items() if record.merge)

    def present(self, merging: Merging) -> str:
        return (
            "EXISTS (SELECT 1 FROM activities.links t WHERE t.tenant_id = $1"
            f" AND t.object = '{merging.object}' AND t.record_id = ANY($2::uuid[]))"
        )

    async def move(self, merging: Merging) -> list[Moved]:
        uow = self._uow
        # Whoever edits an activity holds its row, and its links with it.
        before = await self._copies(_LINKED, merging.object, list(merging.merged_ids))
        rows = await uow.fetch(
            _MOVE, uow.tenant_id, merging.survivor_id, list(merging.merged_ids), merging.object
        )
        moved = [
            Moved(row["activity_id"], row["former"], {"link": row["id"], "dropped": row["dropped"]})
            for row in rows
        ]
        gone = {str(id) for id in merging.merged_ids}
        copies: dict[UUID, tuple[About, About]] = {}
        for id, about in before.items():
            after = _replaced(about, merging.object, gone, [str(merging.survivor_id)])
            if after != about:
                copies[id] = (about, after)
        await self._write(copies, "moved")
        return moved + [
            Moved(id, merging.survivor_id, {"about": list(pair)}, counts=False) for id, pair in copies.items()
        ]

    async def restore(self, merging: Merging, moved: Sequence[Moved]) -> int:
        uow = self._uow
        links = [one for one in moved if one.detail and "link" in one.detail]
        abouts = await self._copies(_NAMED, [one.row_id for one in links])
        still = await self._still_about(merging, {one.row_id for one in links})
        links = [one for one in links if one.row_id in still]
        again = [one for one in links if (one.detail or {})["dropped"]]
        back = [one for one in links if not (one.detail or {})["dropped"]]
        await uow.fetch(
            "UPDATE activities.links l SET record_id = m.former FROM unnest($4::uuid[], $5::uuid[])"
            " AS m(activity_id, former) WHERE l.tenant_id = $1 AND l.object = $2 AND l.record_id = $3"
            " AND l.activity_id = m.activity_id",
            uow.tenant_id,
            merging.object,
            merging.survivor_id,
            [one.row_id for one in back],
            [one.former_id for one in back],
        )
        await uow.fetch(
            "INSERT INTO activities.links (tenant_id, id, activity_id, object, record_id, at)"
            " SELECT $1, m.id, m.activity_id, $2, m.former, a.happened_at"
            " FROM unnest($3::uuid[], $4::uuid[], $5::uuid[]) AS m(id, activity_id, former)"
            " JOIN activities.activities a ON a.tenant_id = $1 AND a.id = m.activity_id ON CONFLICT DO NOTHING",
            uow.tenant_id,
            merging.object,
            [UUID((one.detail or {})["link"]) for one in again],
            [one.row_id for one in again],
            [one.former_id for one in again],
        )
        await self._restore_copies(merging, links, moved, abouts)
        return len(links)

    async def _restore_copies(
        self,
        merging: Merging,
        links: Sequence[Moved],
        moved: Sequence[Moved],
        abouts: Mapping[UUID, About],
    ) -> None:
        """The former copy where it is as the merge left it; else the same entries in the survivor's place."""
        stored = {one.row_id: one.detail["about"] for one in moved if one.detail and "about" in one.detail}
        formers: dict[UUID, list[str]] = {}
        keeping: dict[UUID, bool] = {}
        for one in links:
            formers.setdefault(one.row_id, []).append(str(one.former_id))
            keeping[one.row_id] = keeping.get(one.row_id, True) and bool((one.detail or {})["dropped"])
        survivor = str(merging.survivor_id)
        copies: dict[UUID, tuple[About, About]] = {}
        for id in formers:
            about = abouts[id]
            before, after = stored.get(id, (None, None))
            if before is None or about != after:
                kept = [survivor] if keeping[id] else []
                before = _replaced(about, merging.object, {survivor}, [*kept, *formers[id]])
            copies[id] = (about, before)
        await self._write(copies, "moved_back")

    async def _still_about(self, merging: Merging, ids: Iterable[UUID]) -> set[UUID]:
        rows = await self._uow.fetch(
            "SELECT activity_id FROM activities.links WHERE tenant_id = $1 AND object = $2 AND record_id = $3"
            " AND activity_id = ANY($4::uuid[])",
            self._uow.tenant_id,
            merging.object,
            merging.survivor_id,
            list(ids),
        )
        return {row["activity_id"] for row in rows}

    async def _copies(self, which: str, *arguments: Any) -> Mapping[UUID, About]:
        """What activities are about, by id; they are locked."""
        rows = await self._uow.fetch(
            f"SELECT id, about FROM activities.activities WHERE tenant_id = $1 AND id {which}"
            " ORDER BY id FOR NO KEY UPDATE",
            self._uow.tenant_id,
            *arguments,
        )
        return {row["id"]: row["about"] for row in rows}

    async def _write(self, copies: Mapping[UUID, tuple[About, About]], action: str) -> None:
        if not copies:
            return
        uow = self._uow
        rows = await uow.fetch(
            "UPDATE activities.activities a SET about = m.about, version = a.version + 1, updated_at = $3"
            " FROM jsonb_to_recordset($2::jsonb) AS m(id uuid, about jsonb) WHERE a.tenant_id = $1 AND a.id = m.id"
            " RETURNING a.id, a.version, a.deleted_at IS NULL AS live",
            uow.tenant_id,
            [{"id": id, "about": after} for id, (_, after) in copies.items()],
            uow.now,
        )
        for row in rows:
            if row["live"]:
                uow.record_audit("activity", row["id"], action, {"about": list(copies[row["id"]])})
                uow.publish_record(ACTIVITY.updated, row["id"], row["version"], changed=["about"])


def _replaced(about: About, object_name: str, gone: set[str], by: Sequence[str]) -> About:
    """The entries with those of `gone` replaced, each once, at the place of the first one."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for entry in about:
        if entry["object"] == object_name and entry["record_id"] in gone:
            entries = [{"object": object_name, "record_id": id} for id in by]
        else:
            entries = [entry]
        for one in entries:
            found.setdefault((one["object"], one["record_id"]), one)
    return list(found.values())


_NAMED = "= ANY($2::uuid[])"
_LINKED = (
    "= ANY(ARRAY(SELECT DISTINCT l.activity_id FROM activities.links l WHERE l.tenant_id = $1 AND l.object = $2"
    " AND l.record_id = ANY($3::uuid[])))"
)
_MOVE = f"""
WITH moving AS (
  SELECT l.id, l.activity_id, l.record_id AS former, row_number() OVER (
    PARTITION BY l.activity_id ORDER BY array_position($3::uuid[], l.record_id)) > 1 OR EXISTS (
    SELECT 1 FROM activities.links s WHERE s.tenant_id = $1 AND s.activity_id = l.activity_id
    AND s.object = $4 AND s.record_id = $2) AS dropped
  FROM activities.links l WHERE l.tenant_id = $1 AND l.object = $4 AND l.record_id = ANY($3::uuid[])
), dropped AS (
  DELETE FROM activities.links l USING {rows_of("moving", "id", "dropped")}
  WHERE l.tenant_id = $1 AND l.id = moving.id AND moving.dropped
), moved AS (
  UPDATE activities.links l SET record_id = $2 FROM {rows_of("moving", "id", "dropped")}
  WHERE l.tenant_id = $1 AND l.id = moving.id AND NOT moving.dropped
)
SELECT id, activity_id, former, dropped FROM moving ORDER BY activity_id"""
