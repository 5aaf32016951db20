"""The shop's rules as data: problems, causes, limits, promises and texts, versioned and open to overrides."""

from contracts.policy.loader import load_policy, load_policy_file, load_policy_text
from contracts.policy.model import (
    Authority,
    Cause,
    Group,
    Party,
    Policy,
    Problem,
    Promise,
    Remedy,
    Text,
    Texts,
)
from contracts.policy.validation import Mistake, PolicyInvalid

__all__ = [
    "Authority",
    "Cause",
    "Group",
    "Mistake",
    "Party",
    "Policy",
    "PolicyInvalid",
    "Problem",
    "Promise",
    "Remedy",
    "Text",
    "Texts",
    "load_policy",
    "load_policy_file",
    "load_policy_text",
]
