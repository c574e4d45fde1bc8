"""State machines: a declared transition table per entity, which refuses what it does not hold and feeds the docs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from app.kernel.errors import InvalidTransition

S = TypeVar("S", bound=str)


@dataclass(frozen=True)
class StateMachine(Generic[S]):
    """The states of one kind of entity and the actions that lead from one to another.

    Raises ValueError when a declared state cannot be reached from `initial`: such a table has a slip in it.
    """

    name: str
    initial: S
    transitions: Mapping[tuple[S, str], S]

    def __post_init__(self) -> None:
        lost = self.states - self._reachable()
        if lost:
            raise ValueError(f"{self.name}: no way leads from {self.initial} to {', '.join(sorted(lost))}")

    @property
    def states(self) -> frozenset[S]:
        """Every state that the table names."""
        return frozenset({self.initial, *(s for s, _ in self.transitions), *self.transitions.values()})

    @property
    def final(self) -> frozenset[S]:
        """States that nothing leads out of."""
        return self.states - {state for state, _ in self.transitions}

    def allowed(self, current: S) -> tuple[str, ...]:
        """The actions that `current` allows, in alphabetical order."""
        return tuple(sorted(action for state, action in self.transitions if state == current))

    def may(self, current: S, action: str) -> bool:
        return (current, action) in self.transitions

    def next(self, current: S, action: str) -> S:
        """The state that `action` leads to.

        Raises: InvalidTransition with members `state` and `allowed`.
        """
        found = self.transitions.get((current, action))
        if found is None:
            allowed = self.allowed(current)
            hint = f"it allows {', '.join(allowed)}" if allowed else "nothing follows from there"
            raise InvalidTransition(
                f"{self.name} is {current} and cannot {action}: {hint}.",
                state=str(current),
                allowed=list(allowed),
            )
        return found

    def _reachable(self) -> set[S]:
        found: set[S] = set()
        pending = [self.initial]
        while pending:
            state = pending.pop()
            if state not in found:
                found.add(state)
                pending += [to for (start, _), to in self.transitions.items() if start == state]
        return found

    def mermaid(self) -> str:
        """The table as a Mermaid state diagram."""
        lines = ["stateDiagram-v2", f"    [*] --> {self.initial}"]
        lines += [f"    {start} --> {to}: {action}" for (start, action), to in self.transitions.items()]
        lines += [f"    {state} --> [*]" for state in sorted(self.final)]
        return "\n".join(lines)

    def markdown(self) -> str:
        """The table as Markdown: one row per state and action, in the order declared."""
        rows = [f"| {start} | {action} | {to} |" for (start, action), to in self.transitions.items()]
        return "\n".join(["| from | action | to |", "| --- | --- | --- |", *rows])
