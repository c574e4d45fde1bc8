"""Entering a stage: which moves are allowed, and what must hold before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson

from app.kernel.errors import FieldError, Invalid
from app.kernel.listing import Bindings, Condition, compile_filter
from app.kernel.uow import UnitOfWork
from app.modules.opportunities.interface import StageMoveNotAllowed
from app.modules.opportunities.services.pipelines import StageInfo
from app.modules.opportunities.services.playbook import Playbooks
from app.modules.opportunities.services.stage_rules import pointer_to, rule_fields


class StageEntry:
    """Checks whether an opportunity may go where somebody wants to put it."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    def check_move(self, origin: StageInfo | None, target: StageInfo) -> None:
        """Raises `StageMoveNotAllowed` where the stage before declares its moves and this is none of them."""
        if origin is None or origin.rules.moves is None or target.key in origin.rules.moves:
            return
        allowed = list(origin.rules.moves)
        ways = f"it leads to {', '.join(allowed)}" if allowed else "nothing follows it"
        raise StageMoveNotAllowed(
            f"{origin.key!r} does not lead to {target.key!r}: {ways}.", stage=origin.key, allowed=allowed
        )

    async def require(self, target: StageInfo, after: Mapping[str, Any], id: UUID | None) -> None:
        """Raises `Invalid` with every requirement of `target` that the opportunity, as it would be, does not meet.

        `after` holds its columns; `id` is None while it is not stored.
        """
        asked = target.rules.requirements
        if not asked:
            return
        missing = [_needs(name, target) for name in asked.fields if _is_empty(after, name)]
        missing += [
            FieldError(c.pointer, "condition_not_met", f"{target.key!r} wants {c.field} {c.op} {c.value!r}.")
            for c in await self._unmet(asked.conditions, after)
        ]
        if asked.lines and not after["line_count"]:
            missing.append(FieldError("/lines", "lines_required", f"{target.key!r} wants at least one line."))
        missing += await self._unplayed(asked.contact_roles, id, target)
        missing += await self._undone(asked.tasks, id, target)
        if missing:
            raise Invalid(missing[0].detail, errors=missing)

    async def _unmet(self, conditions: Sequence[Condition], after: Mapping[str, Any]) -> list[Condition]:
        """The conditions that do not hold for a row with these columns, in one statement."""
        if not conditions:
            return []
        fields = await rule_fields(self._uow)
        # A field that was archived since can no longer be asked for.
        known = [condition for condition in conditions if condition.field in fields.fields]
        row = orjson.loads(orjson.dumps(dict(after), default=str))
        bind = Bindings(row)
        compiled = [
            compile_filter([[condition]], fields, self._uow.actor.tenant, self._uow.now, bind)
            for condition in known
        ]
        if not compiled:
            return []
        found = await self._uow.fetchrow(
            f"SELECT {', '.join(f'({sql})' for sql in compiled)}"
            " FROM jsonb_populate_record(NULL::opportunities.opportunities, $1::jsonb) t",
            *bind.values,
        )
        return [condition for condition, holds in zip(known, found or (), strict=True) if not holds]

    async def _unplayed(self, roles: Sequence[str], id: UUID | None, target: StageInfo) -> list[FieldError]:
        if not roles:
            return []
        rows = await self._uow.fetch(
            "SELECT DISTINCT role FROM opportunities.committee WHERE tenant_id = $1 AND opportunity_id = $2",
            self._uow.tenant_id,
            id,
        )
        played = {row["role"] for row in rows}
        return [
            FieldError(
                f"/contacts/{role}", "contact_role_required", f"{target.key!r} wants a contact as {role}."
            )
            for role in roles
            if role not in played
        ]

    async def _undone(self, tasks: Sequence[str], id: UUID | None, target: StageInfo) -> list[FieldError]:
        if not tasks:
            return []
        done = set() if id is None else await Playbooks(self._uow).done(id)
        return [
            FieldError(f"/playbook/{key}", "task_not_done", f"{target.key!r} wants the task {key!r} done.")
            for key in tasks
            if key not in done
        ]


def _is_empty(after: Mapping[str, Any], name: str) -> bool:
    if name.startswith("custom."):
        value = (after.get("custom") or {}).get(name.removeprefix("custom."))
    else:
        value = after.get(name)
    return value is None or value in ("", [])


def _needs(name: str, target: StageInfo) -> FieldError:
    return FieldError(pointer_to(name), "required_by_stage", f"{target.key!r} wants a value for {name}.")
