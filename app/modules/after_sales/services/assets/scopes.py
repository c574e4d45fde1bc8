"""What the built-in roles start with for settings of after-sales."""

from __future__ import annotations

from typing import Final

from app.kernel.access import Scope
from app.kernel.records import ACTIONS

KEEPERS: Final = {"owner": Scope.ALL, "admin": Scope.ALL, "manager": Scope.ALL}
KEPT_BY_MANAGERS: Final = {
    action: KEEPERS | ({"salesperson": Scope.ALL, "viewer": Scope.ALL} if action == "read" else {})
    for action in ACTIONS
}
"""One for all: everybody reads it, managers keep it."""
