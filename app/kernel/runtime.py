"""The parts of a running process, made once by `app.main` or `app.worker` and handed to every request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from app.kernel.access import Actor, TenantProfile
from app.kernel.calls import Calls
from app.kernel.clock import Clock
from app.kernel.config import Settings
from app.kernel.db import Database
from app.kernel.limits import Limits
from app.kernel.memory import TenantMemory
from app.kernel.pdf.render import Renderer
from app.kernel.registry import Registry

if TYPE_CHECKING:
    from app.kernel.custom_fields import CustomFields
    from app.kernel.files import FileStore
    from app.kernel.mail import Mailer
    from app.kernel.rate_limits import RateLimiter
    from app.kernel.secrets import KeyRing


class Authenticator(Protocol):
    """Turns the credentials of a request into an actor; implemented by `app.tenants`."""

    async def authenticate(self, authorization: str | None, cookies: str | None) -> Actor:
        """The actor behind an `Authorization` header. Raises `Unauthenticated`."""

    async def tenant_profile(self, tenant_id: UUID) -> TenantProfile:
        """The tenant's profile for jobs and reactions. Raises `NotFound`."""

    async def member_actor(self, tenant_id: UUID, member_id: UUID) -> Actor:
        """The actor of a member, for work started by them that runs later."""

    async def api_key_actor(self, tenant_id: UUID, key_id: UUID) -> Actor:
        """The actor of an API key, for work started with it that runs later."""

    async def active_tenants(self) -> list[TenantProfile]:
        """Tenants that scheduled work runs for."""

    def forget(self, tenant_id: UUID) -> None:
        """Drop cached snapshots of a tenant's actors, after something they depend on changed."""


@dataclass
class Kernel:
    """Everything a unit of work may need besides its transaction."""

    settings: Settings
    database: Database
    clock: Clock
    registry: Registry
    secrets: KeyRing
    files: FileStore
    mailer: Mailer
    limiter: RateLimiter
    custom_fields: CustomFields
    authenticator: Authenticator = field(init=False)  # needs the rest, so `open_kernel` sets it last
    memory: TenantMemory = field(default_factory=TenantMemory)
    renderer: Renderer = field(default_factory=Renderer)
    limits: Limits = field(default_factory=Limits)
    calls: Calls = field(default_factory=Calls)
