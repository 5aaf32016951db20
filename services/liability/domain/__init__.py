"""Which party bears which loss, and what was recovered from it (`domain.md` §5)."""

from services.liability.domain.domain import LiabilityDomain
from services.liability.domain.file import CaseLoss, LiabilityFile
from services.liability.domain.posting import Posting, postings

__all__ = ["CaseLoss", "LiabilityDomain", "LiabilityFile", "Posting", "postings"]
