"""Demo records as CSV, and the samples in the documentation."""

import csv
import io
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.demo import csv_export
from app.demo.generator import generate
from app.demo.records import DemoCompany

SAMPLES = Path(__file__).parents[2] / "docs" / "samples"


@pytest.fixture(scope="module")
def company() -> DemoCompany:
    return generate(2, accounts=30, contacts=60, leads=90, now=datetime(2026, 6, 1, tzinfo=UTC))


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def test_leads_come_out_with_every_field_under_its_api_name(company):
    table = rows(csv_export.leads_csv(company.leads))
    assert len(table) == 90
    assert tuple(table[0]) == csv_export.LEAD_COLUMNS
    lead = company.leads[0]
    assert table[0]["email"] == lead.email
    assert table[0]["tags"] == ";".join(lead.tags)
    assert table[0]["created_at"] == lead.created_at.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_chinese_headers_name_the_same_cells_and_start_with_a_byte_order_mark(company):
    content = csv_export.accounts_csv(company.accounts, language="zh")
    assert content.startswith(b"\xef\xbb\xbf")
    english = rows(csv_export.accounts_csv(company.accounts))
    chinese = rows(content)
    assert [list(row.values()) for row in chinese] == [list(row.values()) for row in english]
    assert list(chinese[0])[:4] == ["外部编号", "客户名称", "类型", "行业"]


def test_an_amount_takes_two_columns(company):
    deal = company.opportunities[0]
    row = rows(csv_export.opportunities_csv(company.opportunities))[0]
    assert (row["amount"], row["currency"]) == (f"{deal.amount.amount:.2f}", deal.amount.currency)


def test_contacts_name_their_account_by_external_id(company):
    table = rows(csv_export.contacts_csv(company.contacts))
    assert [row["account"] for row in table] == [contact.account for contact in company.contacts]


def test_the_samples_in_the_documentation_are_what_the_generator_writes():
    for name, content in csv_export.sample_files().items():
        assert (SAMPLES / name).read_bytes() == content
        assert len(rows(content)) == 20
