"""From a template and data to the bytes of a PDF, off the event loop and within bounds.

Each document is laid out by a process of its own (kernel/pdf/worker.py): one that takes too long is killed, one that
wants too much memory dies alone, and neither typst nor the fonts are loaded before the first document. Text reaches
the template as data, so that no character of it is markup. The same order gives the same bytes.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import orjson
import structlog

from app.kernel.errors import Unavailable

log = structlog.get_logger(__name__)

SECONDS: Final = 20
MEMORY_BYTES: Final = 1 << 30
AT_ONCE: Final = 2
FONT: Final = "Noto Sans SC"
"""Noto Sans SC (SIL Open Font License 1.1), from the package pylopdf-fonts-zh-cn."""
_FONT_PACKAGE: Final = "pylopdf_fonts_zh_cn"
_WORKER: Final = Path(__file__).with_name("worker.py")
# One thread and one arena: limits count reserved memory, and the order of work must not depend on the machine.
_ENVIRONMENT: Final = {"LANG": "C.UTF-8", "RAYON_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}


class DocumentNotRendered(Unavailable):
    """The document could not be laid out within its limits of time and memory."""

    code = "document_not_rendered"
    title = "The document could not be made"


@dataclass(frozen=True, slots=True)
class Order:
    """One document: the source of the template, and its data (JSON; pictures are lists of their bytes)."""

    template: str
    data: Mapping[str, Any]
    made_at: datetime

    def encoded(self) -> bytes:
        return orjson.dumps(
            {
                "template": self.template,
                "data": orjson.dumps(self.data, option=orjson.OPT_SORT_KEYS).decode(),
                "fonts": str(font_folder()),
                "timestamp": int(self.made_at.timestamp()),
            }
        )


class Renderer:
    """Lays out documents, a few at a time; belongs to one process and its event loop."""

    def __init__(
        self, *, seconds: int = SECONDS, memory_bytes: int = MEMORY_BYTES, at_once: int = AT_ONCE
    ) -> None:
        self._seconds = seconds
        self._memory = memory_bytes
        self._turns = asyncio.Semaphore(at_once)

    async def render(self, order: Order) -> bytes:
        """The PDF. Raises: DocumentNotRendered."""
        async with self._turns:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                str(_WORKER),
                str(self._memory),
                str(self._seconds),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=_ENVIRONMENT,
                cwd=font_folder(),
            )
            try:
                async with asyncio.timeout(self._seconds):
                    pdf, said = await process.communicate(order.encoded())
            except TimeoutError:
                log.warning("document.not_rendered", reason="time", seconds=self._seconds)
                raise DocumentNotRendered("The document took too long to lay out.") from None
            finally:
                if process.returncode is None:
                    with suppress(ProcessLookupError):
                        process.kill()
                    await process.wait()
        if process.returncode != 0 or not pdf.startswith(b"%PDF-"):
            log.warning(
                "document.not_rendered",
                status=process.returncode,
                reason=said.decode("utf-8", "replace")[-500:],
            )
            raise DocumentNotRendered("The document could not be laid out.")
        return pdf


@lru_cache(maxsize=1)
def font_folder() -> Path:
    """Where the fonts lie. Raises: DocumentNotRendered when their package is missing."""
    found = importlib.util.find_spec(_FONT_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise DocumentNotRendered("The package with the fonts is not installed; everything else works.")
    return Path(found.submodule_search_locations[0])
