"""What modules bring: routers, record types, interfaces, ports, reactions, jobs, permissions.

`app.product` collects every module's `Module` here. Modules find each other only through interfaces; a lower
module that needs a higher one's help declares a port that the higher one implements.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pydantic import BaseModel

from app.kernel.access import Scope

if TYPE_CHECKING:
    from uuid import UUID

    from app.kernel.access import Reach
    from app.kernel.db import Connection
    from app.kernel.personal_data import Holding, Person
    from app.kernel.records import RecordType
    from app.kernel.routing import Router
    from app.kernel.runtime import Authenticator, Kernel
    from app.kernel.uow import UnitOfWork

T = TypeVar("T")
Factory = Callable[["UnitOfWork"], Any]
ReachOf = Callable[["Connection", "UUID", "UUID", Sequence["UUID"], bool], Awaitable[Mapping[str, "Reach"]]]
"""What a member of a tenant, in these teams, reads beyond their roles, by object; part of the actor's snapshot.

The last argument says whether they hold the permission that `Module.reach` names. Whoever changes what it is made of
calls `tenants.interface.Access.changed`.
"""


@dataclass(frozen=True)
class Subscription:
    """A reaction to an event's *name*, with a payload model of the subscriber's own.

    It runs in its own transaction, at least once; the inbox drops repetitions, so each event takes effect once.
    With `batch` it takes a list of payloads, in the order in which things happened: those of one company that are
    due together, in one transaction. They are of different records, for events of one record follow each other.
    If the list fails, each of its events is handled alone.
    """

    event: str
    payload: type[BaseModel]
    handle: Callable[[UnitOfWork, Any], Awaitable[None]]
    name: str
    batch: bool = False

    @property
    def key(self) -> str:
        return f"{self.name}:{self.event}"


@dataclass(frozen=True)
class JobKind:
    """Background work: `run(context, payload)`; the context has progress, cancellation and transactions."""

    name: str
    payload: type[BaseModel]
    run: Callable[[Any, Any], Awaitable[Any]]
    attempts: int = 5
    wipe: bool = False
    """The order holds secrets (mailed links): it is emptied as soon as the job has ended."""
    while_closed: bool = False
    """It also runs while the company is suspended or cancelled, as exports and payments do; others wait."""
    outlives_session: bool = False
    """It carries out what was done already: it runs though the impersonation that queued it is over."""


@dataclass(frozen=True)
class Schedule:
    """Work repeated for every active tenant (`per_tenant`) or once for the installation."""

    name: str
    every: timedelta
    run: Callable[[Any], Awaitable[None]]
    per_tenant: bool = False


@dataclass(frozen=True)
class Permission:
    """One `object:action`, with the scope that each built-in role starts with."""

    name: str
    description: str
    defaults: dict[str, Scope] = field(default_factory=dict)


@dataclass(frozen=True)
class NotificationKind:
    """A kind of thing that members are told, `activity.assigned`; `mail` is how it is for those who said nothing."""

    name: str
    name_en: str
    name_zh: str
    mail: bool = False


@dataclass
class Module:
    """Everything one module registers, in its `module.py`."""

    name: str
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    """What its operations are filed under in the API document, if not under its own name: tag and description."""
    routers: Sequence[str] = ()
    """Where its operations are: `package.module:name` of a router or of several; a worker imports none of them."""
    tables: Sequence[type[Any]] = ()
    """Mapped classes that only its routers would import: each process knows all tables, and what they hide."""
    records: Sequence[RecordType[Any]] = ()
    interfaces: dict[type[Any], Factory] = field(default_factory=dict)
    ports: Sequence[tuple[type[Any], Factory]] = ()
    subscriptions: Sequence[Subscription] = ()
    jobs: Sequence[JobKind] = ()
    schedules: Sequence[Schedule] = ()
    permissions: Sequence[Permission] = ()
    notifications: Sequence[NotificationKind] = ()
    reach: tuple[str, ReachOf] | None = None
    parts: Mapping[str, tuple[str, Mapping[str, str]]] = field(default_factory=dict)
    """Audited parts of records: the record's object, and which of its fields hides a field of the part."""
    people: Sequence[Person] = ()
    personal_data: Sequence[Holding] = ()
    authenticator: Callable[[Kernel], AbstractAsyncContextManager[Authenticator]] | None = None


def combined(name: str, description: str, parts: Sequence[Module]) -> Module:
    """One module of several parts, each of which registers a topic of it."""
    return Module(
        name=name,
        description=description,
        tags={tag: text for part in parts for tag, text in part.tags.items()},
        routers=[router for part in parts for router in part.routers],
        tables=[table for part in parts for table in part.tables],
        records=[record for part in parts for record in part.records],
        interfaces={key: factory for part in parts for key, factory in part.interfaces.items()},
        ports=[port for part in parts for port in part.ports],
        subscriptions=[subscription for part in parts for subscription in part.subscriptions],
        jobs=[job for part in parts for job in part.jobs],
        schedules=[schedule for part in parts for schedule in part.schedules],
        permissions=[permission for part in parts for permission in part.permissions],
        notifications=[kind for part in parts for kind in part.notifications],
        parts={key: of for part in parts for key, of in part.parts.items()},
        people=[person for part in parts for person in part.people],
        personal_data=[holding for part in parts for holding in part.personal_data],
    )


class Registry:
    """All modules of a process, indexed."""

    def __init__(self, modules: Sequence[Module]) -> None:
        self.modules = list(modules)
        self.records: dict[str, RecordType[Any]] = {}
        self.jobs: dict[str, JobKind] = {}
        self.schedules: list[Schedule] = []
        self.permissions: dict[str, Permission] = {}
        self.notifications: dict[str, NotificationKind] = {}
        self.subscriptions: dict[str, list[Subscription]] = {}
        self._interfaces: dict[type[Any], Factory] = {}
        self._ports: dict[type[Any], list[Factory]] = {}
        self.parts: dict[str, tuple[str, Mapping[str, str]]] = {}
        self.people: dict[str, Person] = {}
        self.personal_data: list[Holding] = []
        self.reaches: list[tuple[str, ReachOf]] = [m.reach for m in modules if m.reach is not None]
        for module in modules:
            self._add(module)

    def _add(self, module: Module) -> None:
        for record in module.records:
            self.records[record.object] = record
            for permission in record.permissions():
                self.permissions[permission.name] = permission
        self._interfaces.update(module.interfaces)
        for port, factory in module.ports:
            self._ports.setdefault(port, []).append(factory)
        for subscription in module.subscriptions:
            self.subscriptions.setdefault(subscription.event, []).append(subscription)
        self.jobs.update({job.name: job for job in module.jobs})
        self.schedules.extend(module.schedules)
        self.parts.update(module.parts)
        self.people.update({person.object: person for person in module.people})
        self.personal_data.extend(module.personal_data)
        self.notifications.update({kind.name: kind for kind in module.notifications})
        self.permissions.update({permission.name: permission for permission in module.permissions})

    def routers(self) -> Iterator[Router]:
        """All routers in the order of the modules; imports them, which a worker does without (ADR 21)."""
        for module in self.modules:
            for name in module.routers:
                found = resolve_name(name)
                yield from found if isinstance(found, tuple | list) else (found,)

    def authenticator(self, kernel: Kernel) -> AbstractAsyncContextManager[Authenticator]:
        """The one that `app.tenants` brings, running as long as the process."""
        factories = [module.authenticator for module in self.modules if module.authenticator]
        if len(factories) != 1:
            raise RuntimeError(f"exactly one module brings the authenticator, not {len(factories)}")
        return factories[0](kernel)

    def provide(self, interface: type[T], uow: UnitOfWork) -> T:
        """The implementation of an interface in this transaction."""
        return cast("T", self._interfaces[interface](uow))

    def provides(self, interface: type[Any]) -> bool:
        """Whether some module of this process brings an interface."""
        return interface in self._interfaces

    def implementations(self, port: type[T], uow: UnitOfWork) -> list[T]:
        """All implementations of a port in this transaction, in module order."""
        return [cast("T", factory(uow)) for factory in self._ports.get(port, ())]

    def record(self, plural_or_object: str) -> RecordType[Any] | None:
        """A record type by `lead` or `leads`."""
        found = self.records.get(plural_or_object)
        if found is not None:
            return found
        return next((record for record in self.records.values() if record.plural == plural_or_object), None)
