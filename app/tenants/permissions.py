"""What one may be allowed to do with people, keys and settings."""

from __future__ import annotations

from app.kernel.access import Scope
from app.kernel.registry import Permission

_RUNS_IT = {"owner": Scope.ALL, "admin": Scope.ALL}
_EVERYBODY = _RUNS_IT | {"manager": Scope.ALL, "salesperson": Scope.ALL, "viewer": Scope.ALL}

PERMISSIONS = (
    Permission("tenant:read", "See the company's settings.", _EVERYBODY),
    Permission("tenant:update", "Change the company's settings.", _RUNS_IT),
    Permission("tenant:export", "Take all of the company's data out.", _RUNS_IT),
    Permission("exchange_rate:read", "See the exchange rates.", _EVERYBODY),
    Permission("exchange_rate:manage", "Enter, change and delete exchange rates.", _RUNS_IT),
    Permission("member:read", "See who works here.", _EVERYBODY),
    Permission("member:invite", "Invite people.", _RUNS_IT),
    Permission("member:update", "Change members' roles, teams and managers.", _RUNS_IT),
    Permission(
        "member:deactivate", "Deactivate members, hand their records over, reactivate them.", _RUNS_IT
    ),
    Permission("role:read", "See the roles.", _EVERYBODY),
    Permission("role:manage", "Make, change and delete roles.", _RUNS_IT),
    Permission("team:read", "See the teams.", _EVERYBODY),
    Permission("team:manage", "Make, change and delete teams.", _RUNS_IT),
    Permission("calendar:read", "See business calendars.", _EVERYBODY),
    Permission("calendar:manage", "Make, change and delete business calendars.", _RUNS_IT),
    Permission("absence:read", "See who is away, and until when.", _EVERYBODY),
    Permission(
        "absence:manage",
        "Say that somebody is away.",
        _RUNS_IT | {"manager": Scope.TEAM_AND_BELOW, "salesperson": Scope.OWN, "viewer": Scope.OWN},
    ),
    Permission("api_key:read", "See API keys: one's own.", _EVERYBODY),
    Permission(
        "api_key:create", "Make, rename and revoke API keys of one's own.", _RUNS_IT | {"manager": Scope.ALL}
    ),
    Permission("usage:read", "See what the company uses, and who takes its seats.", _RUNS_IT),
    Permission("subscription:manage", "Choose the company's plan.", {"owner": Scope.ALL}),
    Permission("bill:pay", "Pay the company's bills, and say by what.", _RUNS_IT),
    Permission("bill:read", "See the company's bills and balance.", _RUNS_IT),
    Permission("usage:report", "Report usage.", _RUNS_IT),
    Permission("api_key:manage", "See and revoke everybody's API keys.", _RUNS_IT),
)
