"""What a programme gives beside points for orders."""

from __future__ import annotations

from sqlalchemy.orm import Mapped

from app.kernel.models import Versioned


class RewardSettings(Versioned):
    """Of a programme, whose id it has. `wallet_limit` is in minor units of the programme's currency."""

    __tablename__ = "reward_settings"
    __table_args__ = ({"schema": "membership"},)

    wallet_limit: Mapped[int | None]
