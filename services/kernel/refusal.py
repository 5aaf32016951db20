"""A command that a rule refuses: a stable code and the figures that explain it. It changes nothing."""

from typing import Any


class Refusal(Exception):
    """A rule says no. `code` is one of `domain.md`'s; `params` fill the text of the policy's catalogue.

    `errors` names each wrong field of an `invalid` command: `{"field", "rule", "zh", "en"}`.
    """

    def __init__(self, code: str, *, errors: list[dict[str, str]] | None = None, **params: Any) -> None:
        super().__init__(code)
        self.code = code
        self.params = params
        self.errors = errors or []


def invalid(field: str, rule: str, zh: str, en: str) -> Refusal:
    """A refusal of one field: which, by which rule, and what it should be."""
    return Refusal("invalid", field=field, errors=[{"field": field, "rule": rule, "zh": zh, "en": en}])
