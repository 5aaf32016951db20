"""Evidence files: an upload is checked, cleaned of everything but the picture, and stored once."""

from services.cases.media.refusal import UploadRefused
from services.cases.media.store import DamagedFile, MediaAway, MediaStore, UnknownFile
from services.cases.media.stored_file import StoredFile
from services.cases.media.upload import MediaLimits, sanitise

__all__ = [
    "DamagedFile",
    "MediaAway",
    "MediaLimits",
    "MediaStore",
    "StoredFile",
    "UnknownFile",
    "UploadRefused",
    "sanitise",
]
