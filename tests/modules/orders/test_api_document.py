"""How the API document names and groups what orders offer."""

from __future__ import annotations

import pytest

from app.main import Application


def test_no_schema_has_a_private_name(app: Application) -> None:
    names = app.openapi()["components"]["schemas"]
    assert [name for name in names if name.startswith("_")] == []
    assert {
        "InvoiceUpdate",
        "PaymentUpdate",
        "ReturnUpdate",
        "AccountUpdate",
        "ChannelConsent",
    } <= names.keys()


@pytest.mark.parametrize(
    ("path", "tag"),
    [
        ("/v1/orders", "orders"),
        ("/v1/orders/{id}/receivables", "receivables"),
        ("/v1/receivables/ageing", "receivables"),
        ("/v1/invoices", "invoices"),
        ("/v1/invoices/{id}/issue", "invoices"),
        ("/v1/payments", "payments"),
        ("/v1/payments/{id}/allocate", "payments"),
        ("/v1/returns", "returns"),
        ("/v1/returns/batch/import", "returns"),
        ("/v1/returns/{id}/refund", "returns"),
        ("/v1/stock-levels", "stock"),
    ],
)
def test_each_kind_has_a_tag_of_its_own(app: Application, path: str, tag: str) -> None:
    document = app.openapi()
    assert {tuple(one["tags"]) for one in document["paths"][path].values() if "tags" in one} == {(tag,)}
    assert tag in {one["name"] for one in document["tags"]}
