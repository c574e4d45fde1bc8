"""The columns of strangers' files find their fields, and doubtful ones are left alone."""

import pytest

from app.kernel.tabular import Guess, Match, Target, guess_mapping

LEAD = [
    Target("name", ("Name", "姓名")),
    Target("company", ("Company", "公司")),
    Target("email", ("Email", "邮箱"), "email"),
    Target("phone", ("Phone", "电话"), "phone"),
    Target("source", ("Source", "来源")),
    Target("owner_id", ("Owner", "负责人"), "member"),
    Target("industry", ("Industry", "行业")),
    Target("region", ("Region", "地区")),
    Target("notes", ("Notes", "备注"), "long_text"),
    Target("created_at", ("Created", "创建时间"), "datetime"),
    Target("custom.budget", ("预算",), "money"),
]


def mapping(columns, targets=LEAD) -> dict[str, str]:
    return {guess.column: guess.target for guess in guess_mapping(columns, targets)}


def test_a_chinese_file_is_understood():
    assert mapping(
        [
            "公司名称",
            "姓名",
            "手机",
            "邮箱",
            "线索来源",
            "备注",
            "所属行业",
            "地区",
            "负责人",
            "创建日期",
            "预算",
        ]
    ) == {
        "公司名称": "company",
        "姓名": "name",
        "手机": "phone",
        "邮箱": "email",
        "线索来源": "source",
        "备注": "notes",
        "所属行业": "industry",
        "地区": "region",
        "负责人": "owner_id",
        "创建日期": "created_at",
        "预算": "custom.budget",
    }


def test_an_english_file_is_understood_however_it_is_spelt():
    assert mapping(
        [
            "Full Name",
            "COMPANY_NAME",
            "E-Mail",
            "Mobile phone",
            "lead-source",
            "Comments",
            "sales_agent",
            "Budget",
        ]
    ) == {
        "Full Name": "name",
        "COMPANY_NAME": "company",
        "E-Mail": "email",
        "Mobile phone": "phone",
        "lead-source": "source",
        "Comments": "notes",
        "sales_agent": "owner_id",
        "Budget": "custom.budget",
    }


@pytest.mark.parametrize(
    ("column", "guess"),
    [
        ("email", Guess("email", "email", 1.0, Match.EXACT)),
        ("Email", Guess("Email", "email", 1.0, Match.EXACT)),
        ("ＥＭＡＩＬ ", Guess("ＥＭＡＩＬ ", "email", 0.98, Match.NORMALISED)),
        ("电子邮箱", Guess("电子邮箱", "email", 0.948, Match.SYNONYM)),
        ("Indutsry", Guess("Indutsry", "industry", 0.787, Match.SIMILAR)),
    ],
)
def test_the_confidence_tells_how_a_column_was_recognised(column, guess):
    assert guess_mapping([column], LEAD) == [guess]


def test_each_target_is_taken_once_by_the_surest_column():
    guesses = guess_mapping(["Telephone", "phone", "Mobile"], LEAD)
    assert [(guess.column, guess.target) for guess in guesses] == [("phone", "phone")]


def test_a_mobile_goes_to_its_own_field_where_there_is_one():
    targets = [*LEAD, Target("mobile", ("Mobile", "手机"), "phone")]
    assert mapping(["手机", "电话"], targets) == {"手机": "mobile", "电话": "phone"}


def test_the_name_of_a_company_is_the_account_name_where_there_is_no_company():
    targets = [Target("name", ("Name", "名称")), Target("website")]
    assert mapping(["客户名称", "官网"], targets) == {"客户名称": "name", "官网": "website"}


@pytest.mark.parametrize("column", ["", "   ", "column_3", "xyz", "line", "code", "reason", "Gender", "ame"])
def test_what_resembles_nothing_is_left_out(column):
    assert guess_mapping([column], LEAD) == []


def test_a_module_adds_synonyms_of_its_own():
    assert mapping(["蛋糕"], [Target("flavour", synonyms=("蛋糕",))]) == {"蛋糕": "flavour"}
