"""Problems: the one way in which the API says that something is wrong (RFC 9457).

Every failure a caller can meet is a subclass of `Problem` with a stable `code`. The subclasses are the
catalogue: it is served at `/problems`, rendered into the documentation and used to declare error responses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one place of the request.

    `pointer` is a JSON pointer (RFC 6901) into the body, or the name of a query parameter or header.
    """

    pointer: str
    code: str
    detail: str


class Problem(Exception):
    """A refusal with a status, a stable code and, where it helps, members that say more."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Something went wrong on our side"

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        headers: dict[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.errors = tuple(errors)
        self.headers = headers or {}
        self.members = members

    def document(self, *, instance: str, request_id: str) -> dict[str, Any]:
        """The `application/problem+json` body."""
        body: dict[str, Any] = {
            "type": f"/problems/{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
            "code": self.code,
            "request_id": request_id,
        }
        if self.errors:
            body["errors"] = [asdict(error) for error in self.errors]
        return body | self.members


class BadRequest(Problem):
    status = 400
    code = "bad_request"
    title = "The request cannot be understood"


class InvalidJson(BadRequest):
    code = "invalid_json"
    title = "The body is not valid JSON"


class UnknownParameter(BadRequest):
    code = "unknown_parameter"
    title = "A query parameter is not known here"


class InvalidFilter(BadRequest):
    code = "invalid_filter"
    title = "A filter or sort cannot be applied"


class InvalidCursor(BadRequest):
    code = "invalid_cursor"
    title = "The cursor does not belong to this list"


class Unauthenticated(Problem):
    status = 401
    code = "unauthenticated"
    title = "Sign in or send a valid key"

    def __init__(self, detail: str | None = None, **members: Any) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"}, **members)


class Forbidden(Problem):
    status = 403
    code = "forbidden"
    title = "Your role does not allow this"


class TenantSuspended(Forbidden):
    code = "tenant_suspended"
    title = "This company's account is suspended; only reading, export and payment work"


class ReadOnlyImpersonation(Forbidden):
    code = "read_only_impersonation"
    title = "This impersonation only reads"


class ImpersonationEnded(Forbidden):
    code = "impersonation_ended"
    title = "The impersonation in which this was begun is over"


class TenantCancelled(Forbidden):
    code = "tenant_cancelled"
    title = (
        "This company's account is cancelled; only its export, its bills and coming back work, for a while"
    )


class NotFound(Problem):
    status = 404
    code = "not_found"
    title = "There is nothing here that you may see"


class MethodNotAllowed(Problem):
    status = 405
    code = "method_not_allowed"
    title = "This address does not take that method"


class Conflict(Problem):
    status = 409
    code = "conflict"
    title = "The current state does not allow this"


class DuplicateValue(Conflict):
    code = "duplicate_value"
    title = "Another record already has this value"


class RequestInFlight(Conflict):
    code = "request_in_flight"
    title = "The same request is still being worked on"


class InvalidTransition(Conflict):
    code = "invalid_transition"
    title = "This step does not follow from the current state"


class StaleVersion(Problem):
    status = 412
    code = "stale_version"
    title = "The record has changed since you read it"


def require_version(current: int, *, expected: int) -> None:
    """A change goes by the version that its author read. Raises `StaleVersion` (carries `current_version`)."""
    if current != expected:
        raise StaleVersion(f"You read version {expected}; it is {current} now.", current_version=current)


class PayloadTooLarge(Problem):
    status = 413
    code = "payload_too_large"
    title = "The body is larger than this operation takes"


class UnsupportedMediaType(Problem):
    status = 415
    code = "unsupported_media_type"
    title = "This operation takes another content type"


class Invalid(Problem):
    """A well-formed request whose content is wrong; `errors` say where and what."""

    status = 422
    code = "invalid"
    title = "Some of what was sent is not valid"

    @classmethod
    def at(cls, pointer: str, code: str, detail: str) -> Invalid:
        """The common case: one thing wrong at one place."""
        return cls(detail, errors=[FieldError(pointer, code, detail)])


class BatchFailed(Invalid):
    """An item failed and nothing was done; `results` has one entry for each item."""

    code = "batch_failed"
    title = "Nothing was done: all_or_none was asked for and an item failed"


class IdempotencyKeyReused(Problem):
    status = 422
    code = "idempotency_key_reused"
    title = "This Idempotency-Key was used with another request"


class VersionRequired(Problem):
    status = 428
    code = "version_required"
    title = "Send If-Match with the version that you read"


class TooManyRequests(Problem):
    status = 429
    code = "too_many_requests"
    title = "Slow down"


class Unavailable(Problem):
    status = 503
    code = "unavailable"
    title = "The service cannot answer just now; try again shortly"


def catalogue() -> list[type[Problem]]:
    """Every declared problem, by status and code; codes are unique (a test says so)."""
    found: dict[str, type[Problem]] = {}
    pending: list[type[Problem]] = [Problem]
    while pending:
        problem = pending.pop()
        found[problem.code] = problem
        pending.extend(problem.__subclasses__())
    return sorted(found.values(), key=lambda problem: (problem.status, problem.code))


def problems(*kinds: type[Problem]) -> dict[int | str, dict[str, Any]]:
    """Declare the error responses of an operation: `responses=problems(LeadAlreadyConverted, StaleVersion)`."""
    by_status: dict[int, list[type[Problem]]] = {}
    for kind in kinds:
        by_status.setdefault(kind.status, []).append(kind)
    return {status: _response(group) for status, group in sorted(by_status.items())}


def _response(kinds: Iterable[type[Problem]]) -> dict[str, Any]:
    kinds = sorted(set(kinds), key=lambda kind: kind.code)
    examples = {
        kind.code: {
            "value": kind().document(instance="/v1/…", request_id="0198c0de-0000-7000-8000-000000000000")
        }
        for kind in kinds
    }
    return {
        "description": "; ".join(f"`{kind.code}`: {kind.title}" for kind in kinds),
        "content": {
            "application/problem+json": {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": examples,
            }
        },
    }
