"""Structured logs: one JSON object per line, one line per request, and no secrets in any of them.

`configure` is called once by whoever starts the process (server, worker, command line). Until then nothing is
written but failures, through Python's own logging; so importing the product stays silent.
"""

from __future__ import annotations

import logging as stdlib
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Final

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from app.kernel.config import Settings

REDACTED: Final = "[redacted]"
_SECRET_NAMES = re.compile(
    r"pass(word|phrase)?$|secret|token|authori[sz]ation|cookie|api_?key|private_key|^otp$|^totp|recovery_code|^code$",
    re.IGNORECASE,
)
_SECRET_VALUES = re.compile(
    r"rk_(?:live|test)_\w+|rl_[\w-]{20,}|whsec_[\w+/=-]+|(?:bearer|basic) +[\w.~+/=-]+|eyJ[\w-]{8,}\.[\w-]+\.[\w-]*"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)",
    re.IGNORECASE,
)
_MAX_DEPTH: Final = 6

_failures = stdlib.getLogger("rapport")
_requests: Any = None  # structlog's loggers once configured
_failed: Any = None


def configure(settings: Settings, *, stream: Any = None) -> None:
    """Send our logs and those of the libraries to `stream` (default: standard output) in one format."""
    global _requests, _failed
    out = stream if stream is not None else sys.stdout
    level = stdlib.getLevelNamesMapping().get(settings.log_level.upper(), stdlib.INFO)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        redact,
    ]
    console = settings.log_format == "console"
    render: Processor = (
        structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer(_dumps)
    )
    factory: Any = structlog.PrintLoggerFactory(out) if console else structlog.BytesLoggerFactory(_bytes(out))
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=factory,
        cache_logger_on_first_use=False,
    )
    # A request's line holds nothing of the caller's but the path, which `log_request` cleans itself.
    plain = [step for step in shared if step is not redact]
    _requests = structlog.wrap_logger(
        factory(), processors=[*plain, render], wrapper_class=structlog.make_filtering_bound_logger(level)
    ).bind()
    _failed = structlog.get_logger()
    _adopt_libraries(out, level, shared, console=console)


def _adopt_libraries(out: Any, level: int, shared: list[Processor], *, console: bool) -> None:
    render: Processor = (
        structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer(_dumps_text)
    )
    handler = stdlib.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                *shared,
                structlog.stdlib.add_logger_name,
                structlog.processors.format_exc_info,
            ],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    root = stdlib.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, stdlib.INFO))
    stdlib.getLogger("uvicorn.access").disabled = True  # our own line per request says more


def _dumps(value: Any, **_: Any) -> bytes:
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS)


def _dumps_text(value: Any, **_: Any) -> str:
    return _dumps(value).decode()


def _bytes(stream: Any) -> Any:
    return getattr(stream, "buffer", stream)


def logger() -> Any:
    """A structured logger: `logger().info("import.finished", rows=120)`; secrets are redacted on the way out."""
    return structlog.get_logger()


def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Replace values that are secrets by their name or by their shape, at any depth."""
    return {name: _clean(name, value, 0) for name, value in event.items()}


def _clean(name: str, value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if _SECRET_NAMES.search(name):
        return REDACTED
    if isinstance(value, str):
        return _SECRET_VALUES.sub(REDACTED, value)
    if depth >= _MAX_DEPTH:
        return "…"
    if isinstance(value, dict):
        return {str(key): _clean(str(key), item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean("", item, depth + 1) for item in value]
    return value


def log_request(scope: MutableMapping[str, Any], status: int, seconds: float) -> None:
    """The one line of a finished request. Nothing before `configure`."""
    if _requests is None:
        return
    actor = scope.get("rapport.actor")
    route = scope.get("route")
    signed_in = actor is not None and actor.kind != "anonymous"
    line = _requests.warning if status >= 500 else _requests.info
    line(
        "request",
        request_id=scope.get("rapport.request_id"),
        method=scope["method"],
        path=_SECRET_VALUES.sub(REDACTED, scope["path"][:500]),
        route=getattr(route, "path", None),
        operation=getattr(route, "operation_id", None),
        status=status,
        ms=round(seconds * 1000, 2),
        statements=scope.get("rapport.statements", 0),
        tenant=str(actor.tenant.id) if signed_in and actor else None,
        principal=str(actor.id) if signed_in and actor else None,
        principal_kind=actor.kind if actor else None,
        trace_id=scope.get("rapport.trace_id"),
    )


def log_failure(scope: MutableMapping[str, Any], error: BaseException) -> None:
    """The stack behind a 5xx, by request id; the caller sees none of it."""
    if _failed is None:
        _failures.error(
            "%s %s failed, request %s",
            scope.get("method"),
            scope.get("path"),
            scope.get("rapport.request_id"),
            exc_info=(type(error), error, error.__traceback__),
        )
        return
    _failed.error(
        "failure",
        request_id=scope.get("rapport.request_id"),
        method=scope.get("method"),
        path=str(scope.get("path", ""))[:500],
        error=f"{type(error).__name__}: {error}",
        exc_info=(type(error), error, error.__traceback__),
    )
