"""Registers activities: the lowest module, which every record type may hang its work on."""

from __future__ import annotations

from app.kernel.merging.ports import Merger
from app.kernel.registry import Module
from app.kernel.sharing import OpenWork
from app.modules.activities.interface import Activities, ActivityCounts
from app.modules.activities.router import records, router
from app.modules.activities.services.activities import ACTIVITY, ActivitiesOfTenant
from app.modules.activities.services.counts import DoneActivities
from app.modules.activities.services.merging import ActivitySubjects

MODULE = Module(
    name="activities",
    description="Notes, tasks, calls and meetings, and one timeline for everything.",
    routers=(records, router),
    records=(ACTIVITY,),
    interfaces={Activities: ActivitiesOfTenant, ActivityCounts: DoneActivities},
    ports=((OpenWork, ActivitiesOfTenant), (Merger, ActivitySubjects)),
)
