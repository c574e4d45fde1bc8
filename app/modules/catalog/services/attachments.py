"""Files on products."""

from __future__ import annotations

from app.kernel.attachments.service import AttachedFiles
from app.modules.catalog.models import ProductAttachment
from app.modules.catalog.services.products import ProductService


class ProductFiles(AttachedFiles[ProductAttachment]):
    """The files of the products that the actor sees."""

    model = ProductAttachment
    column = "product_id"
    service = ProductService
    noun = "A product"
