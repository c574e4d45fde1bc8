"""Demo records as CSV: sample files for the import, with English or Chinese headers.

Values stay as the API takes them (codes, E.164, RFC 3339), whatever the language of the headers. Run as a
module, it writes the samples under docs/samples.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from app.demo.generator import generate
from app.demo.records import (
    DemoAccount,
    DemoContact,
    DemoLead,
    DemoOpportunity,
    Json,
    Language,
    as_payload,
)

LEAD_COLUMNS = (
    "external_id",
    "name",
    "company",
    "title",
    "email",
    "phone",
    "website",
    "source",
    "channel",
    "campaign",
    "medium",
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "utm_term",
    "utm_content",
    "referrer",
    "landing_page",
    "status",
    "disqualified_reason",
    "rating",
    "industry",
    "country",
    "region",
    "city",
    "address",
    "description",
    "tags",
    "owner",
    "created_at",
)
ACCOUNT_COLUMNS = (
    "external_id",
    "name",
    "kind",
    "industry",
    "size",
    "country",
    "region",
    "city",
    "address",
    "website",
    "phone",
    "email",
    "registration_number",
    "source",
    "lifecycle_stage",
    "rating",
    "tags",
    "owner",
    "parent",
)
CONTACT_COLUMNS = (
    "external_id",
    "account",
    "name",
    "family_name",
    "given_name",
    "title",
    "department",
    "email",
    "phone",
    "role",
)
OPPORTUNITY_COLUMNS = (
    "external_id",
    "name",
    "account",
    "contact",
    "amount",
    "currency",
    "stage",
    "status",
    "expected_close_on",
    "closed_at",
    "loss_reason",
    "source",
    "owner",
    "created_at",
)
SAMPLE_COLUMNS = (
    "name",
    "company",
    "title",
    "email",
    "phone",
    "source",
    "industry",
    "country",
    "region",
    "city",
    "rating",
    "tags",
    "description",
)
_CHINESE_HEADERS = {
    "external_id": "外部编号",
    "name": "姓名",
    "company": "公司",
    "title": "职务",
    "email": "邮箱",
    "phone": "电话",
    "website": "网站",
    "source": "来源",
    "channel": "渠道",
    "campaign": "市场活动",
    "medium": "媒介",
    "utm_source": "UTM来源",
    "utm_medium": "UTM媒介",
    "utm_campaign": "UTM活动",
    "utm_term": "UTM关键词",
    "utm_content": "UTM内容",
    "referrer": "来源页",
    "landing_page": "落地页",
    "status": "状态",
    "disqualified_reason": "无效原因",
    "rating": "热度",
    "industry": "行业",
    "country": "国家",
    "region": "地区",
    "city": "城市",
    "address": "地址",
    "description": "描述",
    "tags": "标签",
    "owner": "负责人",
    "created_at": "创建时间",
    "kind": "类型",
    "size": "规模",
    "registration_number": "统一社会信用代码",
    "lifecycle_stage": "生命周期阶段",
    "parent": "上级客户",
    "account": "客户编号",
    "family_name": "姓",
    "given_name": "名",
    "department": "部门",
    "role": "角色",
    "contact": "联系人编号",
    "amount": "金额",
    "currency": "币种",
    "stage": "阶段",
    "expected_close_on": "预计成交日期",
    "closed_at": "关闭时间",
    "loss_reason": "丢单原因",
}
_SAMPLE_SEED = 20
_SAMPLE_ROWS = 20
_SAMPLE_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_SAMPLES: tuple[tuple[str, Language], ...] = (("leads.csv", "en"), ("线索.csv", "zh"))


def leads_csv(
    leads: Iterable[DemoLead], *, language: Language = "en", columns: Sequence[str] = LEAD_COLUMNS
) -> bytes:
    """Leads as CSV; `columns` picks and orders the fields."""
    return _csv((as_payload(lead) for lead in leads), columns, _headers(columns, language), language)


def accounts_csv(accounts: Iterable[DemoAccount], *, language: Language = "en") -> bytes:
    """Accounts as CSV; the parent stands as its external id."""
    headers = _headers(ACCOUNT_COLUMNS, language, name="客户名称")
    return _csv((as_payload(account) for account in accounts), ACCOUNT_COLUMNS, headers, language)


def contacts_csv(contacts: Iterable[DemoContact], *, language: Language = "en") -> bytes:
    """Contacts as CSV; the account stands as its external id."""
    headers = _headers(CONTACT_COLUMNS, language)
    return _csv((as_payload(contact) for contact in contacts), CONTACT_COLUMNS, headers, language)


def opportunities_csv(opportunities: Iterable[DemoOpportunity], *, language: Language = "en") -> bytes:
    """Opportunities as CSV, the amount in two columns: major units and ISO 4217 currency."""
    rows = []
    for opportunity in opportunities:
        amount = opportunity.amount
        rows.append(as_payload(opportunity) | {"amount": str(amount.amount), "currency": amount.currency})
    headers = _headers(OPPORTUNITY_COLUMNS, language, name="商机名称")
    return _csv(rows, OPPORTUNITY_COLUMNS, headers, language)


def sample_files() -> dict[str, bytes]:
    """The samples of the documentation by file name: twenty fresh leads each, English and Chinese."""
    company = generate(_SAMPLE_SEED, now=_SAMPLE_NOW)
    copies = {pair.external_id for pair in company.near_duplicates}
    files = {}
    for name, language in _SAMPLES:
        strangers = [
            lead
            for lead in company.leads
            if lead.became is None
            and lead.external_id not in copies
            and (lead.country == "CN") == (language == "zh")
        ]
        files[name] = leads_csv(strangers[-_SAMPLE_ROWS:], language=language, columns=SAMPLE_COLUMNS)
    return files


def _headers(columns: Sequence[str], language: Language, *, name: str = "姓名") -> list[str]:
    if language == "en":
        return list(columns)
    return [name if column == "name" else _CHINESE_HEADERS[column] for column in columns]


def _csv(
    rows: Iterable[dict[str, Json]], columns: Sequence[str], headers: Sequence[str], language: Language
) -> bytes:
    """RFC 4180 with plain newlines, in UTF-8; Chinese files have the byte order mark Excel looks for."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(headers)
    for row in rows:
        writer.writerow([_cell(row.get(column)) for column in columns])
    return text.getvalue().encode("utf-8-sig" if language == "zh" else "utf-8")


def _cell(value: Json) -> str:
    if isinstance(value, list):
        return ";".join(str(item) for item in value)
    return "" if value is None else str(value)


if __name__ == "__main__":
    folder = Path(__file__).parents[2] / "docs" / "samples"
    folder.mkdir(parents=True, exist_ok=True)
    for file_name, content in sample_files().items():
        (folder / file_name).write_bytes(content)
