"""PDFs as responses, and how the OpenAPI document describes them."""

from __future__ import annotations

from typing import Any, Final

from fastapi import Response

from app.kernel.pdf.kept import Pdf

PDF: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The document.",
        "content": {"application/pdf": {"schema": {"type": "string", "format": "binary"}}},
    }
}


def pdf_answer(pdf: Pdf) -> Response:
    """The bytes, tagged by their hash; no cache between may keep what is its reader's own."""
    headers = {"ETag": f'"{pdf.sha256}"', "Cache-Control": "private, no-cache"}
    return Response(pdf.content, media_type="application/pdf", headers=headers)
