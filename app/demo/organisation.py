"""Who works in the demo company: one owner, two managers, ten salespeople in three teams under Sales."""

import random
from collections.abc import Sequence

from app.demo import reserved
from app.demo.records import DemoMember, DemoTeam, Language

NAME = "远帆贸易 Farsail Trading"
SLUG = "farsail"
DOMAIN = "farsail.example.com"
_TEAMS = (
    ("team-sales", "销售部 Sales", None, "lin.yuan"),
    ("team-east", "华东 East China", "team-sales", "chen.jing"),
    ("team-south", "华南 South China", "team-sales", "chen.jing"),
    ("team-international", "International", "team-sales", "hannah.mercer"),
)
_MEMBERS: tuple[tuple[str, str, str, Language], ...] = (
    ("lin.yuan", "林远", "team-sales", "zh"),
    ("chen.jing", "陈静", "team-sales", "zh"),
    ("hannah.mercer", "Hannah Mercer", "team-international", "en"),
    ("wang.lei", "王磊", "team-east", "zh"),
    ("zhao.yutong", "赵雨桐", "team-east", "zh"),
    ("sun.haoran", "孙浩然", "team-east", "zh"),
    ("zhou.min", "周敏", "team-east", "zh"),
    ("huang.jiayi", "黄嘉怡", "team-south", "zh"),
    ("liang.junjie", "梁俊杰", "team-south", "zh"),
    ("ouyang.na", "欧阳娜", "team-south", "zh"),
    ("daniel.whitaker", "Daniel Whitaker", "team-international", "en"),
    ("priya.singh", "Priya Singh", "team-international", "en"),
    ("leo.kowalski", "Leo Kowalski", "team-international", "en"),
)
_MANAGERS = ("chen.jing", "hannah.mercer")
_EAST = ("华东", "华北", "华中")


def teams() -> tuple[DemoTeam, ...]:
    """The tree, parents first."""
    return tuple(
        DemoTeam(external_id=key, name=name, parent=parent, manager=f"{manager}@{DOMAIN}")
        for key, name, parent, manager in _TEAMS
    )


def members(rng: random.Random) -> tuple[DemoMember, ...]:
    """Owner first, then managers, then salespeople."""
    return tuple(
        DemoMember(
            email=f"{local}@{DOMAIN}",
            name=name,
            role="owner" if number == 0 else "manager" if local in _MANAGERS else "salesperson",
            team=team,
            locale="zh-CN" if language == "zh" else "en-GB",
            time_zone="Asia/Shanghai" if language == "zh" else "Europe/London",
            phone=reserved.phone(
                rng, *(("CN", "上海") if language == "zh" else ("GB", "London")), mobile=True
            ),
            language=language,
        )
        for number, (local, name, team, language) in enumerate(_MEMBERS)
    )


class Territories:
    """Who sells where. Salespeople differ in how much they carry, as the reports should show."""

    def __init__(self, staff: Sequence[DemoMember]) -> None:
        self._by_team: dict[str, list[str]] = {}
        for member in staff:
            if member.role == "salesperson":
                self._by_team.setdefault(member.team, []).append(member.email)

    def owner(self, rng: random.Random, country: str, region: str) -> str:
        """The e-mail of a salesperson of the territory; the first of a team carries the most."""
        at_home = "team-east" if region in _EAST else "team-south"
        team = at_home if country == "CN" else "team-international"
        sellers = self._by_team[team]
        return rng.choices(sellers, weights=range(len(sellers) + 2, 2, -1))[0]
