"""The application under test, spoken to as a client would, with every answer checked against the OpenAPI document.

One application per test process on the process's own database; each test signs up companies of its own, so that
tests share nothing that a tenant could see, and tenancy is exercised all the time.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

import httpx
import jsonschema_rs
import orjson
from pwdlib.hashers.argon2 import Argon2Hasher

from app.kernel.config import Settings
from app.kernel.registry import Module
from app.kernel.runtime import Kernel
from app.main import Application, create_app
from app.tenants.auth.passwords import Passwords

# httpx looks for it twice in each request, whether trio runs; a module that is not there is looked for everywhere.
if importlib.util.find_spec("sniffio") is None:
    sys.modules["sniffio"] = None  # type: ignore[assignment]

PASSWORD = "correct horse battery staple"
_DOCUMENT = "urn:openapi"
_numbers = itertools.count(1)


class ContractBroken(AssertionError):
    """An answer that the OpenAPI document does not declare."""


class Contract:
    """Checks answers against the application's own OpenAPI document."""

    def __init__(self, app: Application) -> None:
        self._index = app.index
        self._document = app.openapi()
        # The document is kept once: a copy in every validator takes gigabytes.
        self._registry = jsonschema_rs.Registry([(_DOCUMENT, {"components": self._document["components"]})])
        self._validators: dict[str, Any] = {}

    def check(self, method: str, path: str, status: int, content_type: str, body: bytes) -> None:
        """Raises `ContractBroken` unless the status is declared and the JSON body fits its schema."""
        found = self._index.find(path)
        operations = found[0] if found else {}
        described = "GET" if method == "HEAD" else method
        operation = operations.get(described)
        if operation is None:
            return
        template = operation[0].path
        if described.lower() not in self._document["paths"].get(template, {}):
            return  # pages for people and preflights are not in the document
        declared = self._document["paths"][template][described.lower()]["responses"]
        answer = declared.get(str(status)) or (declared.get("default") if status >= 400 else None)
        if answer and "$ref" in answer:
            answer = self._document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
        if answer is None:
            raise ContractBroken(
                f"{method} {template} answers {status}, which it does not declare: {body[:300]!r}"
            )
        media = content_type.partition(";")[0]
        content = answer.get("content", {})
        if media not in content:
            if body and content:
                raise ContractBroken(
                    f"{method} {template} {status} answers {media}, declared {sorted(content)}"
                )
            return
        if media.endswith(("/json", "+json")) and method != "HEAD":
            self._validate(f"{method} {template} {status}", content[media].get("schema", {}), body)

    def _validate(self, name: str, schema: dict[str, Any], body: bytes) -> None:
        validator = self._validators.get(name)
        if validator is None:
            absolute = orjson.loads(orjson.dumps(schema).replace(b'"#/', f'"{_DOCUMENT}#/'.encode()))
            validator = jsonschema_rs.Draft202012Validator(absolute, registry=self._registry)
            self._validators[name] = validator
        errors = [f"{list(e.instance_path)}: {e.message}" for e in validator.iter_errors(orjson.loads(body))]
        if errors:
            raise ContractBroken(f"{name}: {errors[:5]}")


_CONTRACTS: WeakKeyDictionary[Application, Contract] = WeakKeyDictionary()
"""Each application's contract: its validators are made once, not once per client."""


class CheckedTransport(httpx.ASGITransport):
    """In-process HTTP whose answers are all checked."""

    def __init__(self, app: Application) -> None:
        super().__init__(app=app, raise_app_exceptions=True)
        if app not in _CONTRACTS:
            _CONTRACTS[app] = Contract(app)
        self._contract = _CONTRACTS[app]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        body = await response.aread()
        self._contract.check(
            request.method,
            request.url.path,
            response.status_code,
            response.headers.get("content-type", ""),
            body,
        )
        return response


@dataclass
class Client:
    """Somebody who talks to the API: `token` is an access token or an API key, None for a stranger."""

    http: httpx.AsyncClient
    token: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    async def request(
        self,
        method: str,
        path: str,
        *,
        if_match: int | None = None,
        key: str | None = None,
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> httpx.Response:
        sent = dict(headers or {})
        if self.token is not None:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        if if_match is not None:
            sent["If-Match"] = f'"{if_match}"'
        if key is not None:
            sent["Idempotency-Key"] = key
        return await self.http.request(method, path, headers=sent, **options)

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.request("GET", path, **options)

    async def post(self, path: str, json: Any = None, **options: Any) -> httpx.Response:
        if json is not None:
            options["json"] = json
        return await self.request("POST", path, **options)

    async def patch(self, path: str, json: Any, **options: Any) -> httpx.Response:
        return await self.request("PATCH", path, json=json, **options)

    async def put(self, path: str, json: Any, **options: Any) -> httpx.Response:
        return await self.request("PUT", path, json=json, **options)

    async def delete(self, path: str, **options: Any) -> httpx.Response:
        return await self.request("DELETE", path, **options)

    async def ok(self, method: str, path: str, **options: Any) -> Any:
        """The JSON of a request that must succeed."""
        response = await self.request(method, path, **options)
        assert response.is_success, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else None


@dataclass
class Company:
    """A signed-up tenant with its owner signed in."""

    app: Application
    tenant_id: UUID
    member_id: UUID
    email: str
    owner: Client

    @property
    def http(self) -> httpx.AsyncClient:
        return self.owner.http

    @property
    def kernel(self) -> Kernel:
        """Of the application that serves it, which runs."""
        assert self.app.kernel is not None
        return self.app.kernel


_DOCUMENTS: dict[tuple[int, ...], tuple[tuple[Module, ...], dict[str, Any]]] = {}


def document_of(app: Application, modules: tuple[Module, ...]) -> dict[str, Any]:
    """The OpenAPI document of an application with these modules beside the real ones.

    Writing it takes seconds, and the same modules make the same one: each is written once in a test process. It is
    about operations and records; modules that bring neither change nothing.
    """
    told = tuple(module for module in modules if module.routers or module.records)
    key = tuple(map(id, told))
    if key not in _DOCUMENTS:
        _DOCUMENTS[key] = told, app.openapi()  # the modules too: an id must not be given to another
    return _DOCUMENTS[key][1]


QUICK = Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1)
"""Signing up takes two passwords' work, and nearly every test begins with it; the real cost has its own tests."""


@asynccontextmanager
async def running(
    url: str, data_dir: Path, modules: tuple[Module, ...] = (), **settings: Any
) -> AsyncIterator[Application]:
    """The application with its lifespan, over a migrated database."""
    open_house = {
        "rate_limit_per_minute": 1_000_000,
        "webhook_allow_private": True,
        "trial_days": 0,
        "access_token_minutes": 120,  # a slow machine is longer over a file whose tests share a company
    }
    options: dict[str, Any] = open_house | settings
    app = create_app(Settings(environment="test", database_url=url, data_dir=data_dir, **options), modules)
    app.openapi_schema = document_of(app, modules)
    async with app.router.lifespan_context(app):
        kernel = app.kernel
        assert kernel is not None
        kernel.authenticator.passwords.close()  # type: ignore[attr-defined]
        kernel.authenticator.passwords = Passwords(QUICK)  # type: ignore[attr-defined]
        yield app


def stranger(app: Application) -> Client:
    """A client without credentials."""
    return Client(httpx.AsyncClient(transport=CheckedTransport(app), base_url="http://rapport.test"))


async def sign_up(app: Application, **changes: Any) -> Company:
    """A new company; its owner is signed in. `changes` override the sign-up form."""
    number = next(_numbers)
    client = stranger(app)
    form = {
        "company": f"Company {number}",
        "name": "Olivia Owner",
        "email": f"owner{number}.{os.getpid()}@example.com",
        "password": PASSWORD,
        "locale": "en",
        "country": "US",
        "time_zone": "UTC",
        "currency": "USD",
    } | changes
    made = await client.ok("POST", "/v1/sign-up", json=form)
    owner = await sign_in(client, form["email"], form["password"])
    return Company(app, UUID(made["tenant_id"]), UUID(made["member_id"]), form["email"], owner)


async def with_key(company: Company) -> None:
    """From here on the owner uses an API key, which outlasts an access token however slow the machine is."""
    made = await company.owner.ok("POST", "/v1/api-keys", json={"name": "journey"})
    company.owner = Client(company.http, token=made["key"], facts=company.owner.facts)


async def sign_in(client: Client, email: str, password: str = PASSWORD) -> Client:
    """The same transport with a fresh access token."""
    answer = await client.ok("POST", "/v1/sessions", json={"email": email, "password": password})
    return Client(client.http, token=answer["access_token"], facts=answer)
