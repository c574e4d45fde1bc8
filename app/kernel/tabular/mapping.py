"""Guessing which column of a stranger's file means which field of ours.

The guess is shown for the user to mend; it therefore prefers leaving a column out to a bold claim.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from rapidfuzz import fuzz

THRESHOLD = 0.86
"""The least similarity, of 1, at which a name that is not known counts as a misspelling of one that is."""


class Match(StrEnum):
    """How a column was recognised, best first."""

    EXACT = "exact"
    NORMALISED = "normalised"
    SYNONYM = "synonym"
    SIMILAR = "similar"


@dataclass(frozen=True, slots=True)
class Target:
    """A field that can be imported. `synonyms` are the module's own, beside the ones known here by field
    name."""

    name: str
    labels: tuple[str, ...] = ()
    type: str = "text"
    synonyms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Guess:
    """`column` is taken to be `target`, with a confidence between 0 and 1."""

    column: str
    target: str
    confidence: float
    match: Match


SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "name": (
        "名称",
        "姓名",
        "名字",
        "客户名称",
        "全名",
        "full name",
        "contact name",
        "lead name",
        "客户姓名",
        "联系人",
        "联系人姓名",
    ),
    "company": (
        "公司",
        "公司名称",
        "企业",
        "企业名称",
        "单位",
        "单位名称",
        "客户公司",
        "company name",
        "organization",
        "organisation",
        "account",
        "account name",
        "business name",
        "employer",
        "客户名称",
        "名称",
    ),
    "account": ("客户", "客户名称", "公司", "公司名称", "account name", "company", "company name"),
    "first_name": ("名", "名字", "given name", "forename", "fname"),
    "last_name": ("姓", "姓氏", "surname", "family name", "lname"),
    "title": ("职位", "职务", "头衔", "job title", "position", "岗位", "称谓"),
    "department": ("部门", "dept", "division"),
    "email": (
        "邮箱",
        "电子邮件",
        "电子邮箱",
        "邮件",
        "邮箱地址",
        "e-mail",
        "mail",
        "email address",
        "work email",
    ),
    "phone": (
        "电话",
        "手机",
        "手机号",
        "手机号码",
        "联系电话",
        "电话号码",
        "座机",
        "固话",
        "移动电话",
        "telephone",
        "tel",
        "phone number",
        "mobile",
        "mobile phone",
        "cell",
        "cell phone",
        "contact number",
        "work phone",
    ),
    "mobile": (
        "手机",
        "手机号",
        "手机号码",
        "移动电话",
        "cell",
        "cell phone",
        "mobile phone",
        "mobile number",
    ),
    "wechat": ("微信", "微信号", "weixin", "wechat id"),
    "website": ("网站", "网址", "官网", "主页", "url", "web", "web site", "homepage", "domain"),
    "source": ("来源", "线索来源", "客户来源", "渠道", "lead source", "channel", "origin"),
    "status": ("状态", "线索状态", "客户状态", "lead status", "stage"),
    "stage": ("阶段", "销售阶段", "商机阶段", "deal stage", "sales stage", "pipeline stage"),
    "notes": (
        "备注",
        "说明",
        "描述",
        "注释",
        "note",
        "comment",
        "comments",
        "remark",
        "remarks",
        "description",
        "memo",
    ),
    "description": ("描述", "说明", "备注", "details", "notes"),
    "industry": ("行业", "所属行业", "sector", "vertical", "industry sector"),
    "region": ("地区", "区域", "大区", "area", "territory"),
    "country": ("国家", "国别", "国家地区", "country code", "country region", "office location"),
    "province": ("省", "省份", "state", "state province", "county"),
    "city": ("城市", "市", "所在城市", "town"),
    "address": ("地址", "联系地址", "详细地址", "公司地址", "street", "street address", "address line 1"),
    "postal_code": ("邮编", "邮政编码", "zip", "zip code", "postcode", "postal"),
    "owner": (
        "负责人",
        "所有人",
        "所属人",
        "归属人",
        "业务员",
        "销售",
        "销售员",
        "销售人员",
        "客户经理",
        "跟进人",
        "account owner",
        "lead owner",
        "sales rep",
        "sales agent",
        "assigned to",
        "assignee",
        "salesperson",
        "rep",
    ),
    "team": ("团队", "小组", "销售团队", "sales team", "group"),
    "tags": ("标签", "tag", "labels", "keywords"),
    "external_id": (
        "外部编号",
        "外部id",
        "编号",
        "客户编号",
        "id",
        "external key",
        "record id",
        "legacy id",
        "ref",
        "reference",
    ),
    "amount": (
        "金额",
        "预计金额",
        "商机金额",
        "value",
        "deal value",
        "close value",
        "expected revenue",
        "price",
    ),
    "currency": ("币种", "货币", "currency code"),
    "employees": (
        "员工数",
        "人数",
        "员工人数",
        "公司规模",
        "规模",
        "employee count",
        "number of employees",
        "headcount",
    ),
    "revenue": ("营业额", "年营业额", "年收入", "营收", "annual revenue", "turnover"),
    "created_at": (
        "创建时间",
        "创建日期",
        "录入时间",
        "created",
        "created on",
        "date created",
        "create date",
        "created date",
    ),
    "closed_at": ("成交日期", "关闭日期", "结束日期", "close date", "closed on", "closed date"),
    "birthday": ("生日", "出生日期", "date of birth", "dob", "birth date"),
    "gender": ("性别", "sex"),
    "tax_id": (
        "税号",
        "纳税人识别号",
        "统一社会信用代码",
        "信用代码",
        "vat",
        "vat number",
        "tax number",
        "ein",
    ),
}
"""What fields are called in the files people bring, by our field name; normalised before comparing."""

_ALIASES: Mapping[str, str] = {
    "company_name": "company",
    "account_name": "account",
    "full_name": "name",
    "job_title": "title",
    "owner_id": "owner",
    "owner_email": "owner",
    "account_id": "account",
    "team_id": "team",
    "source_id": "source",
    "mobile_phone": "mobile",
    "phone_number": "phone",
    "email_address": "email",
    "employee_count": "employees",
    "annual_revenue": "revenue",
    "note": "notes",
    "remark": "notes",
    "state": "province",
    "zip": "postal_code",
    "lead_source": "source",
    "won_amount": "amount",
    "close_date": "closed_at",
    "display_name": "name",
}
"""Other names under which modules keep the same thing."""

_SEPARATORS = re.compile(r"[\s_\-./:：,，*＊#()（）\[\]【】\"']+")


def normalise(name: str) -> str:
    """`name` without case, width, accents of form, spaces, underscores and punctuation; `companyName` is
    `companyname`."""
    return _SEPARATORS.sub("", unicodedata.normalize("NFKC", name).casefold())


def guess_mapping(
    columns: Sequence[str], targets: Iterable[Target], *, threshold: float = THRESHOLD
) -> list[Guess]:
    """The most plausible pairs, in the order of `columns`; each column and each target at most once.

    Surer pairs are given first; between equals the earlier column and the earlier target win.
    """
    known = [(target, _Names.of(target)) for target in targets]
    found: list[tuple[float, int, int, Guess]] = []
    for place, column in enumerate(columns):
        normal = normalise(column)
        for rank, (target, names) in enumerate(known):
            confidence, match = names.compare(column, normal, threshold)
            if match is not None:
                found.append((-confidence, place, rank, Guess(column, target.name, confidence, match)))
    found.sort(key=lambda entry: entry[:3])
    chosen: dict[int, Guess] = {}
    taken: set[str] = set()
    for _, place, _, guess in found:
        if place not in chosen and guess.target not in taken:
            chosen[place] = guess
            taken.add(guess.target)
    return [chosen[place] for place in sorted(chosen)]


@dataclass(frozen=True, slots=True)
class _Names:
    """All that a target answers to, prepared once."""

    exact: frozenset[str]
    normalised: frozenset[str]
    synonyms: tuple[str, ...]

    @classmethod
    def of(cls, target: Target) -> _Names:
        own = (target.name, *target.labels)
        plain = target.name.removeprefix("custom.")
        words = (*target.synonyms, *SYNONYMS.get(_ALIASES.get(plain, plain), ()))
        return cls(
            frozenset(own),
            frozenset(map(normalise, (*own, plain, plain.removesuffix("_id")))),
            tuple(dict.fromkeys(map(normalise, words))),
        )

    def compare(self, column: str, normal: str, threshold: float) -> tuple[float, Match | None]:
        """How sure it is that `column` means this target. A synonym listed earlier counts a little more."""
        if column in self.exact:
            return 1.0, Match.EXACT
        if not normal:
            return 0.0, None
        if normal in self.normalised:
            return 0.98, Match.NORMALISED
        if normal in self.synonyms:
            return round(0.95 - 0.001 * self.synonyms.index(normal), 3), Match.SYNONYM
        best = max(
            (self._similarity(normal, name) for name in (*self.normalised, *self.synonyms)), default=0.0
        )
        return (round(best * 0.9, 3), Match.SIMILAR) if best >= threshold else (0.0, None)

    @staticmethod
    def _similarity(left: str, right: str) -> float:
        """Edit similarity; words under four characters are too short to be misspelt recognisably."""
        if min(len(left), len(right)) < 4:
            return 0.0
        return fuzz.ratio(left, right) / 100
