"""Lists: one filter compiler and one keyset pager for GET, `POST …/search`, saved views, exports and rules.

Fields are declared (`Field`); filters name fields, operators and values, and become SQL text whose only inputs
are bound. Whatever is unknown, a field, an operator, a cursor of another list, is an error: a filter that is
silently ignored returns everything. Reading goes through the table's read view, where PostgreSQL may use every
index (ARCHITECTURE, tenancy).
"""

from app.kernel.listing.fields import PG_TYPES, Ask, Bindings, Field, FieldSet, Kind
from app.kernel.listing.filters import compile_filter
from app.kernel.listing.keyset import Keyset, read_cursor, sign_cursor
from app.kernel.listing.queries import (
    COUNT_CAP,
    MAX_LIMIT,
    Condition,
    Query,
    parse_sort,
    query_from_body,
    query_from_parameters,
)

__all__ = [
    "COUNT_CAP",
    "MAX_LIMIT",
    "PG_TYPES",
    "Ask",
    "Bindings",
    "Condition",
    "Field",
    "FieldSet",
    "Keyset",
    "Kind",
    "Query",
    "compile_filter",
    "parse_sort",
    "query_from_body",
    "query_from_parameters",
    "read_cursor",
    "sign_cursor",
]
