"""Files of products are nobody's personal data: one that somebody's record has too is left alone."""

from __future__ import annotations

from typing import Final

from app.kernel.personal_data import Holding

PERSONAL_DATA: Final = (Holding("catalog.product_attachments", "false", erase={}, file="file_id"),)
