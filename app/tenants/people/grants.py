"""Grants as people write them: known permissions only, and never more than the giver has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.kernel.access import Scope
from app.kernel.errors import FieldError, Invalid
from app.kernel.uow import UnitOfWork
from app.kernel.validation import pointer_of
from app.tenants.auth.actors import with_followers
from app.tenants.interface import GrantTooWide


def effective_grants(uow: UnitOfWork) -> dict[str, Scope]:
    """What the actor may do, permission by permission, without those that are not granted."""
    actor = uow.actor
    scopes = {name: actor.scope(name) for name in uow.kernel.registry.permissions}
    return {name: scope for name, scope in scopes.items() if scope is not Scope.NONE}


def clean_grants(uow: UnitOfWork, grants: Mapping[str, str], *, pointer: str) -> dict[str, str]:
    """Grants to store. Raises: Invalid for unknown permissions; GrantTooWide beyond the actor's own."""
    known = uow.kernel.registry.permissions
    unknown = [name for name in grants if name not in known]
    if unknown:
        raise Invalid(
            f"There is no permission {unknown[0]}.",
            errors=[
                FieldError(
                    f"{pointer}{pointer_of([name])}", "unknown_permission", f"There is no permission {name}."
                )
                for name in unknown[:100]
            ],
        )
    refuse_wider(uow, {name: Scope[label.upper()] for name, label in grants.items()})
    return dict(grants)


def refuse_wider(uow: UnitOfWork, grants: Mapping[str, Scope]) -> None:
    """Raises: GrantTooWide if any of these goes beyond what the actor may do."""
    wider = sorted(name for name, scope in grants.items() if scope > uow.actor.scope(name))
    if wider:
        raise GrantTooWide(f"You may not do this much yourself: {', '.join(wider[:5])}.", permissions=wider)


def refuse_more_fields(uow: UnitOfWork, rules: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
    """Raises: GrantTooWide if these field rules show or unlock what is hidden from, or locked for, the actor.

    A field stays hidden only while every role of a member hides it, so what a role grants does not matter here.
    """
    actor = uow.actor
    if actor.everything:
        return
    all_hidden = with_followers(
        uow.kernel.registry, {name: frozenset(rule.get("hidden", ())) for name, rule in rules.items()}
    )
    for name in actor.hidden_fields.keys() | actor.readonly_fields.keys():
        rule = rules.get(name, {})
        hidden = all_hidden.get(name, frozenset())
        more = (actor.hidden(name) - hidden) | (
            actor.readonly(name) - hidden - frozenset(rule.get("readonly", ()))
        )
        if more:
            fields = ", ".join(sorted(more)[:5])
            raise GrantTooWide(f"You may not show or unlock fields of {name} that your role hides: {fields}.")
