"""The kernel's view of members and teams; implemented by `app.tenants`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol
from uuid import UUID


class People(Protocol):
    """Members and teams of the tenant at hand."""

    async def require_members(self, ids: Collection[UUID], *, pointer: str) -> Mapping[UUID, UUID | None]:
        """The home team of each active member. Raises `Invalid` at `pointer` for an unknown or inactive one."""

    async def require_teams(self, ids: Collection[UUID], *, pointer: str) -> None:
        """Raises `Invalid` at `pointer` for an unknown team."""

    async def names(self, ids: Collection[UUID]) -> Mapping[UUID, str]:
        """Display names of members, active or not; unknown ids are absent."""

    async def addresses(self, ids: Collection[UUID]) -> Mapping[UUID, tuple[str, str]]:
        """Name and e-mail address of active members; others are absent."""

    async def members_by_email(self, emails: Collection[str]) -> Mapping[str, UUID]:
        """Active members by e-mail address, for imports that name owners so."""
