"""Open the parts of a process and close them again: the same for API, worker, command line and tests."""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from pydantic import SecretStr

from app.kernel.clock import Clock, SystemClock
from app.kernel.config import Settings
from app.kernel.custom_fields import CustomFields
from app.kernel.db import Database
from app.kernel.files import FileStore
from app.kernel.mail import Mailer
from app.kernel.rate_limits import RateLimiter
from app.kernel.registry import Registry
from app.kernel.runtime import Kernel
from app.kernel.secrets import KeyRing

_GARBAGE_THRESHOLDS = (50_000, 20, 50)
_M_ARENA_MAX = -8  # malloc.h


def settle_memory() -> None:
    """Spare the garbage collector what a process has loaded; for long-lived processes, once they have started.

    Going through 500,000 objects that stay, again and again, took a third of the time of an import. What requests
    and jobs make is freed as it goes out of use; cycles are rare and can wait for 50,000 new objects.
    """
    gc.freeze()
    gc.set_threshold(*_GARBAGE_THRESHOLDS)


def share_one_arena() -> None:
    """Let the threads of this process share glibc's one heap; for a worker, before it has any.

    Each would get one of its own, which keeps what that thread has freed: with the interpreter's lock they take turns
    anyway, and an import's two threads held 15 MB more. Elsewhere than on glibc this does nothing.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def key_ring(settings: Settings) -> KeyRing:
    """The keys from the settings; in development one is made and kept under `data_dir`."""
    if settings.secret_keys:
        return KeyRing.from_texts([key.get_secret_value() for key in settings.secret_keys])
    if settings.in_production:
        raise RuntimeError("RAPPORT_SECRET_KEYS is not set; `rapport config --new-key` makes one")
    path = settings.data_dir / "secret.key"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        # Linked in whole: processes that start together agree on the first, and a kill leaves no empty key.
        made = path.with_name(f"{path.name}.{os.getpid()}")
        made.touch(mode=0o600)
        made.write_text(KeyRing.generate())
        with suppress(FileExistsError):
            os.link(made, path)
        made.unlink()
    return KeyRing.from_texts([SecretStr(path.read_text().strip()).get_secret_value()])


@asynccontextmanager
async def open_kernel(
    settings: Settings, registry: Registry, *, clock: Clock | None = None
) -> AsyncIterator[Kernel]:
    """Everything a unit of work may need, with open database pools."""
    database = await Database.open(settings)
    try:
        files_url = settings.files_url or (settings.data_dir.resolve() / "files").as_uri()
        kernel = Kernel(
            settings=settings,
            database=database,
            clock=clock or SystemClock(),
            registry=registry,
            secrets=key_ring(settings),
            files=FileStore.from_url(files_url),
            mailer=Mailer.from_settings(settings),
            limiter=RateLimiter(settings.rate_limit_per_minute),
            custom_fields=CustomFields(),
        )
        async with registry.authenticator(kernel) as authenticator:
            kernel.authenticator = authenticator
            yield kernel
    finally:
        await database.close()
