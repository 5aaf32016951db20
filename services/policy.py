"""The policy that the settings name."""

from collections.abc import Mapping
from typing import Any

from contracts.policy import Policy, load_policy, load_policy_file
from services.kernel.settings import Settings


def policy_in_force(settings: Settings, changes: Mapping[str, Any] | None = None) -> Policy:
    """The policy with the shop's changes: its file's, else those given here. Raises `PolicyInvalid`, `OSError`."""
    return load_policy_file(settings.policy_file) if settings.policy_file else load_policy(changes)
