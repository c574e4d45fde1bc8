"""The documents name what is there: links, targets, settings, and the same sections in both languages."""

import re
import subprocess
from pathlib import Path

import pytest

from app.kernel.config import Settings
from tools import reference

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def documents() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def prose(path: Path) -> str:
    return FENCE.sub("", path.read_text())


def anchors(path: Path) -> set[str]:
    """The ids that a renderer gives to headings: lower case, without punctuation, blanks as hyphens."""
    heads = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", documents(), ids=name)
def test_every_link_leads_to_a_file_and_a_heading(path: Path):
    broken = []
    for link in LINK.findall(prose(path)):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_the_two_commands_of_the_readme_are_targets_of_make():
    targets = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for file in ("README.md", "README.zh-CN.md"):
        commands = set(re.findall(r"^make (\w+)", (ROOT / file).read_text(), re.MULTILINE))
        assert commands == {"run", "test"}
        assert all(re.search(rf"^  make {command} ", targets, re.MULTILINE) for command in commands)


@pytest.mark.parametrize("page", sorted(reference.pages()))
def test_the_reference_says_what_the_code_says(page: str):
    assert (reference.FOLDER / page).read_text() == reference.pages()[page], "run `python -m tools.reference`"


def test_the_table_of_settings_has_every_setting_with_its_meaning():
    rows = re.findall(
        r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|$", (reference.FOLDER / "settings.md").read_text(), re.MULTILINE
    )
    assert len(rows) == len(Settings.model_fields)
    assert [row for row in rows if len(row[2].strip()) < 10] == []


def test_the_chinese_readme_has_the_same_sections_sessions_and_links():
    english, chinese = ((ROOT / file).read_text() for file in ("README.md", "README.zh-CN.md"))
    assert len(re.findall(r"^## ", chinese, re.MULTILINE)) == len(re.findall(r"^## ", english, re.MULTILINE))
    assert re.findall(r"^[$>] .*$", chinese, re.MULTILINE) == re.findall(r"^[$>] .*$", english, re.MULTILINE)
    ours = {"README.md", "README.zh-CN.md"}
    assert set(LINK.findall(chinese)) - ours == set(LINK.findall(english)) - ours


def test_the_guide_lists_every_page_of_it():
    guide = ROOT / "docs" / "guide"
    listed = {link for link in LINK.findall((guide / "README.md").read_text()) if "/" not in link}
    pages = {path.name for path in guide.glob("*.md")} - {"README.md"}
    assert {link.partition("#")[0] for link in listed} == pages
