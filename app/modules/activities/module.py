"""Registers activities: the lowest module, which every record type may hang its work on."""

from __future__ import annotations

from datetime import timedelta

from app.kernel.merging.ports import Merger
from app.kernel.registry import Module, NotificationKind, Schedule
from app.kernel.sharing import OpenWork
from app.modules.activities.interface import Activities, ActivityCounts, ToDoSource
from app.modules.activities.services.activities import ACTIVITY, ASSIGNED, MENTIONED
from app.modules.activities.services.attendees import ANSWERED
from app.modules.activities.services.counts import DoneActivities
from app.modules.activities.services.for_others import ActivitiesOfTenant
from app.modules.activities.services.invitations import INVITED
from app.modules.activities.services.merging import ActivitySubjects, attendees
from app.modules.activities.services.personal_data import PERSONAL_DATA
from app.modules.activities.services.reminders import REMINDER, remind
from app.modules.activities.services.to_dos import ActivityToDos

MODULE = Module(
    name="activities",
    description="Notes, tasks, calls, meetings and visits, and one timeline for everything.",
    tags={
        "activities": "Notes, tasks, calls, meetings and visits, and one timeline for everything.",
        "calendar": "Who is where, busy and free, and calendars in other programs.",
        "to-dos": "Everything that waits for you, from every module.",
        "public": "Pages and files behind secret links, for people and programs outside.",
    },
    routers=("app.modules.activities.router:ROUTERS",),
    records=(ACTIVITY,),
    interfaces={Activities: ActivitiesOfTenant, ActivityCounts: DoneActivities},
    ports=(
        (OpenWork, ActivitiesOfTenant),
        (Merger, ActivitySubjects),
        (Merger, attendees),
        (ToDoSource, ActivityToDos),
    ),
    schedules=(Schedule("activities.remind", timedelta(minutes=1), remind, per_tenant=True),),
    notifications=(
        NotificationKind(INVITED, "You are invited, or the meeting changed", "会议邀请与变更", mail=True),
        NotificationKind(ANSWERED, "Somebody answered your invitation", "对您邀请的答复"),
        NotificationKind(ASSIGNED, "Somebody gave you work", "分配给您的工作"),
        NotificationKind(MENTIONED, "Somebody mentions you", "提到您", mail=True),
        NotificationKind(REMINDER, "Reminders", "提醒", mail=True),
    ),
    personal_data=PERSONAL_DATA,
)
