"""Actors by credential, kept until something they depend on changes, in whichever process.

Every change sends a notification with its transaction. While the listening connection is down nothing is
cached: slower, never stale.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from app.kernel.access import Actor
from app.kernel.ids import new_id

SIZE: Final = 20_000
_HOLD_SECONDS: Final = 60.0  # longer than any transaction may take; then a rolled-back change is forgotten


@dataclass(frozen=True, slots=True)
class Entry:
    actor: Actor
    expires_at: datetime


class ActorCache:
    """A bounded map from credential to actor, emptied tenant by tenant."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.connected = False
        self.epoch = 0
        self._by_tenant: dict[UUID, set[str]] = {}
        self._holds: dict[UUID, dict[str, float]] = {}

    def put(self, credential: str, entry: Entry, *, epoch: int) -> None:
        """Keep an actor that was read while `epoch` was current; a change since then makes it worthless."""
        tenant = entry.actor.tenant.id
        if not self.connected or epoch != self.epoch or self._held(tenant):
            return
        while len(self.entries) >= SIZE:
            self._remove(next(iter(self.entries)))
        self.entries[credential] = entry
        self._by_tenant.setdefault(tenant, set()).add(credential)

    def forget(self, tenant: UUID) -> None:
        """Drop a tenant's actors, also those being read at this moment."""
        self.epoch += 1
        for credential in self._by_tenant.pop(tenant, ()):
            self.entries.pop(credential, None)

    def clear(self) -> None:
        self.epoch += 1
        self.entries.clear()
        self._by_tenant.clear()

    def hold(self, tenant: UUID) -> str:
        """Cache nothing of a tenant until `release` with the answer, or for a minute."""
        change = str(new_id())
        self._holds.setdefault(tenant, {})[change] = time.monotonic() + _HOLD_SECONDS
        self.forget(tenant)
        return change

    def release(self, tenant: UUID, change: str) -> None:
        """The change has committed: what is read from here on is current."""
        self.forget(tenant)
        holds = self._holds.get(tenant)
        if holds is not None:
            holds.pop(change, None)
            if not holds:
                del self._holds[tenant]

    def _held(self, tenant: UUID) -> bool:
        holds = self._holds.get(tenant)
        if holds is None:
            return False
        now = time.monotonic()
        if any(deadline > now for deadline in holds.values()):
            return True
        del self._holds[tenant]
        return False

    def _remove(self, credential: str) -> None:
        entry = self.entries.pop(credential)
        credentials = self._by_tenant.get(entry.actor.tenant.id)
        if credentials is not None:
            credentials.discard(credential)
            if not credentials:
                del self._by_tenant[entry.actor.tenant.id]
