"""Whose turn it is: start-time fair queuing over tenants, by the weight of their plan.

P. Goyal, H. Vin, H. Cheng, "Start-time Fair Queueing" (SIGCOMM 1996): each service begins at the virtual time or when
the tenant's last one ended in virtual time, whichever is later, and lasts 1/weight; the earliest start is served. Of
two tenants that both have work waiting, neither gets ahead of its share by more than one service of each, however
much work either has; one that was idle neither owes nor has saved anything.
"""

from __future__ import annotations

from uuid import UUID


class FairTurns:
    """What one worker has served."""

    def __init__(self) -> None:
        self._time = 0.0
        self._ends: dict[UUID, float] = {}

    def ahead(self) -> tuple[list[UUID], list[float]]:
        """The tenants whose last service has not ended in virtual time, and by how much: they wait for so long."""
        waiting = {id: end - self._time for id, end in self._ends.items() if end > self._time}
        return list(waiting), list(waiting.values())

    def served(self, tenant_id: UUID, weight: int) -> None:
        """A tenant's piece of work was begun."""
        start = max(self._time, self._ends.get(tenant_id, 0.0))
        self._ends[tenant_id] = start + 1 / weight
        self._time = start
        if len(self._ends) > 1_000:
            self._ends = {id: end for id, end in self._ends.items() if end > start}
