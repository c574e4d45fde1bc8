"""Registers approvals: who approves what, and what waits for whom."""

from __future__ import annotations

from app.kernel.access import Scope
from app.kernel.merging.ports import Merger
from app.kernel.registry import Module, NotificationKind, Permission, Schedule
from app.modules.activities.interface import TimelineSource, ToDoSource
from app.modules.automation.handlers import SUBSCRIPTIONS
from app.modules.automation.interface import Approvals
from app.modules.automation.services import chasing, telling
from app.modules.automation.services.asking import ApprovalsOfTenant
from app.modules.automation.services.merging import ApprovalSubjects
from app.modules.automation.services.personal_data import PERSONAL_DATA
from app.modules.automation.services.reading import MANAGE
from app.modules.automation.services.timeline import ApprovalTimeline
from app.modules.automation.services.to_dos import ApprovalToDos

_RUNS_IT = {"owner": Scope.ALL, "admin": Scope.ALL}

MODULE = Module(
    name="automation",
    description="Approvals: who has to agree before a record goes on.",
    tags={
        "approvals": "Who has to agree before a record goes on: processes, requests, decisions, delegates."
    },
    routers=("app.modules.automation.router:ROUTERS",),
    interfaces={Approvals: ApprovalsOfTenant},
    ports=(
        (Merger, ApprovalSubjects),
        (ToDoSource, ApprovalToDos),
        (TimelineSource, ApprovalTimeline),
    ),
    subscriptions=SUBSCRIPTIONS,
    schedules=(
        Schedule("automation.remind_approvers", chasing.EVERY, chasing.remind, per_tenant=True),
        Schedule("automation.escalate_approvals", chasing.EVERY, chasing.escalate, per_tenant=True),
    ),
    permissions=(
        Permission("approval_process:read", "See how approvals go.", _RUNS_IT | {"manager": Scope.ALL}),
        Permission("approval_process:manage", "Make, change and delete approval processes.", _RUNS_IT),
        Permission(
            MANAGE,
            "See all requests for approval, recall them, and give decisions to other members.",
            _RUNS_IT,
        ),
    ),
    notifications=(
        NotificationKind(telling.REQUESTED, "Somebody asks for your approval", "等待您审批", mail=True),
        NotificationKind(telling.DECIDED, "What you asked for was decided", "审批结果", mail=True),
        NotificationKind(telling.REMINDER, "An approval still waits for you", "审批提醒", mail=True),
        NotificationKind(telling.ESCALATED, "An approval went on to somebody else", "审批已转交他人"),
        NotificationKind(
            telling.STUCK, "Nobody is left to approve what you asked for", "已无人可以审批", mail=True
        ),
    ),
    personal_data=PERSONAL_DATA,
)
