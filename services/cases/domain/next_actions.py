"""Placeholder while the real module is being written."""
from typing import Any
NextAction = Any
def next_actions(domain: Any, file: Any, case_id: str, context: Any) -> list[Any]:
    return []
