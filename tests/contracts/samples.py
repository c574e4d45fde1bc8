"""Requests made up from the OpenAPI document: for each operation a path, query and body that it should take."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from app.main import Application

METHODS = ("get", "put", "post", "patch", "delete")
Json = dict[str, Any]


@dataclass(frozen=True)
class Operation:
    """One operation of the document."""

    method: str
    path: str
    spec: Json

    @property
    def id(self) -> str:
        return str(self.spec["operationId"])

    @property
    def access(self) -> str:
        return str(self.spec["x-permission"])

    @property
    def safe(self) -> bool:
        return self.method == "GET"

    @property
    def names(self) -> list[str]:
        """The names in the path."""
        return re.findall(r"\{(\w+)\}", self.path)

    @property
    def resource(self) -> str:
        """`leads` of `/v1/leads/{id}/convert`."""
        return self.path.removeprefix("/v1/").partition("/")[0]

    @property
    def takes_version(self) -> bool:
        return any(parameter["name"].lower() == "if-match" for parameter in self.spec.get("parameters", ()))

    @property
    def body(self) -> Json | None:
        """The schema of its JSON body."""
        content = self.spec.get("requestBody", {}).get("content", {})
        found: Json | None = content.get("application/json", {}).get("schema")
        return found


def operations(app: Application) -> list[Operation]:
    """Every operation of the API, in the order of the document."""
    return [
        Operation(method.upper(), path, spec)
        for path, item in app.openapi()["paths"].items()
        for method, spec in item.items()
        if method in METHODS
    ]


REFERENCES = {
    "owner_id": "members", "member_id": "members", "manager_id": "members", "hand_over_to": "members",
    "assignee_id": "members", "team_id": "teams", "team_ids": "teams", "role_ids": "roles", "account_id": "accounts",
    "contact_id": "contacts", "lead_id": "leads", "opportunity_id": "opportunities", "pipeline_id": "pipelines",
    "stage_id": "stages", "record_id": "accounts", "file_id": "files", "parent_account_id": "accounts",
    "referred_by_id": "contacts", "campaign_id": "campaigns", "reports_to_id": "contacts",
    "primary_contact_id": "contacts", "mentions": "members", "competitor_id": "competitors", "winning_competitor_id": "competitors",
    "calendar_id": "calendars", "stand_in_id": "members", "member_ids": "members",
    "target_id": "teams", "admin_ids": "members", "pool_id": "pools", "order_id": "orders", "invoice_id": "invoices",
    "contract_id": "contracts", "return_id": "returns", "partner_id": "partners",
    "template_id": "contract-clause-templates",
    "delegate_id": "members", "on_behalf_of": "members", "chosen_ids": "members",
    "product_id": "products", "other_product_ids": "products", "category_id": "product-categories",
    "case_id": "cases", "survey_id": "surveys", "translation_of_id": "articles",
    "asset_id": "assets", "service_contract_id": "service-contracts",
    "signature_file_id": "files",
    "price_book_id": "price-books", "programme_id": "loyalty-programmes", "to_member_id": "loyalty-members",
    "product_ids": "products", "category_ids": "product-categories",
    "queue_id": "queues", "mail_queue_id": "queues", "agent_id": "members",
}  # fmt: skip
"""What an id in a body refers to, by its name; `id`, `ids` and `parent_id` are of the operation's own resource."""


class Sampler:
    """Makes up values that fit schemas; every text of one sampler carries its marker, so that leaks can be seen."""

    def __init__(self, document: Json, ids: Mapping[str, str], marker: str) -> None:
        self._schemas: Json = document["components"]["schemas"]
        self._ids = ids
        self._numbers = itertools.count(1)
        self.marker = marker

    def resolve(self, schema: Json) -> Json:
        """Through references, alternatives and null to the schema that is filled."""
        while True:
            if "$ref" in schema:
                schema = self._schemas[schema["$ref"].rsplit("/", 1)[1]]
            elif options := schema.get("anyOf") or schema.get("oneOf"):
                outer = {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf")}
                schema = outer | next(option for option in options if option.get("type") != "null")
            elif "allOf" in schema:
                schema = {key: value for key, value in schema.items() if key != "allOf"} | schema["allOf"][0]
            else:
                return schema

    def body(self, operation: Operation) -> Any:
        """The smallest body that the operation should take."""
        return None if operation.body is None else self.value(operation.body, "", operation.resource)

    def value(self, schema: Json, name: str, resource: str) -> Any:
        found = self.resolve(schema)
        if "const" in found:
            return found["const"]
        if "enum" in found:
            return found["enum"][0]
        kind = found.get("type")
        if kind == "object" or "properties" in found:
            wanted = found.get("required", ())
            return {key: self.value(found["properties"][key], key, resource) for key in wanted}
        if kind == "array":
            return [self.value(found["items"], name, resource) for _ in range(found.get("minItems", 0) or 0)]
        unique = found.get("format") in ("email", "uuid") or "email" in name
        if found.get("examples") and not unique:
            return found["examples"][0]
        if kind == "integer":
            return max(1, found.get("minimum", 1))
        if kind == "number":
            return max(1.0, found.get("minimum", 1.0))
        if kind == "boolean":
            return True
        return self._text(found, name, resource)

    def _text(self, schema: Json, name: str, resource: str) -> str:
        form, number = schema.get("format"), next(self._numbers)
        if form == "uuid":
            return self.reference(name, resource)
        if form == "date-time":
            return "2026-03-01T12:00:00Z"
        if form == "date":
            return "2026-03-01"
        if form == "email" or "email" in name:
            return f"{self.marker}{number}.{uuid4().hex[:8]}@example.com"
        if form == "uri" or name == "url":
            return f"https://{self.marker}.example.com/{number}"
        if name in ("key", "slug"):
            return f"{self.marker}_{number}_{uuid4().hex[:6]}"
        return f"{self.marker} {name} {number} {uuid4().hex[:6]}"[: schema.get("maxLength", 200)]

    def reference(self, name: str, resource: str) -> str:
        """The id of a thing of the sampler's own company that a field of this name refers to."""
        return self._ids.get(REFERENCES.get(name, resource)) or str(uuid4())


def places_of_ids(
    sampler: Sampler, schema: Json, depth: int = 0
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Where a body may hold ids: (path into the body, name of the field). Lists are entered at their first item."""
    found = sampler.resolve(schema)
    if depth > 6:
        return
    for name, inner in found.get("properties", {}).items():
        inner = sampler.resolve(inner)
        if inner.get("format") == "uuid":
            yield (name,), name
        elif inner.get("type") == "array":
            item = sampler.resolve(inner.get("items", {}))
            if item.get("format") == "uuid":
                yield (name, 0), name
            else:
                for place, field in places_of_ids(sampler, item, depth + 1):
                    yield (name, 0, *place), field
        elif "properties" in inner:
            for place, field in places_of_ids(sampler, inner, depth + 1):
                yield (name, *place), field


def with_id(
    sampler: Sampler, schema: Json, body: Any, place: tuple[str | int, ...], id: str, resource: str
) -> Any:
    """A copy of `body` with an id at a place; what must lie around it is made up."""
    if not place:
        return id
    found, (step, *rest) = sampler.resolve(schema), place
    if isinstance(step, int):
        old = list(body or [])
        inner = found["items"]
        first = old[0] if old else sampler.value(inner, "", resource)
        return [with_id(sampler, inner, first, tuple(rest), id, resource), *old[1:]]
    inner = found["properties"][step]
    old_value = (body or {}).get(step)
    if old_value is None and rest and not isinstance(rest[0], int):
        old_value = sampler.value(inner, step, resource)
    return {**(body or {}), step: with_id(sampler, inner, old_value, tuple(rest), id, resource)}
