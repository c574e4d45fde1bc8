"""Files on activities."""

from __future__ import annotations

from app.kernel.attachments.service import AttachedFiles
from app.modules.activities.models import Attachment
from app.modules.activities.services.activities import ActivityService


class Attachments(AttachedFiles[Attachment]):
    """The files of the activities that the actor sees."""

    model = Attachment
    column = "activity_id"
    service = ActivityService
    noun = "An activity"
