"""Which keys of the policy differ from the one in force, and whether a what-if judges what they rule."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from contracts.policy import Policy

#: Keys that history can be decided again by; `*` stands for any code. All others are not judged.
_JUDGED: Final = (
    ("authority", "*"),
    ("promise", "*"),
    ("causes", "*", "party"),
    ("causes", "*", "named"),
    ("causes", "*", "freight"),
    ("parties", "*", "named"),
)


class Key(msgspec.Struct, frozen=True):
    """A key that is not as in force (null: it is not there). `judged`: whether the report says what it changes."""

    key: str
    in_force: Any
    asked: Any
    judged: bool


def changed_keys(in_force: Policy, asked: Policy) -> Sequence[Key]:
    """Every key in which two policies differ, by name; a list is one value. What follows from other keys is none: the
    `version`, and whether a cause is `named` where it is as its party."""
    before, after = dict(_leaves(in_force)), dict(_leaves(asked))
    return [
        Key(".".join(path), before.get(path), after.get(path), _is_judged(path))
        for path in sorted({*before, *after})
        if before.get(path) != after.get(path)
    ]


def _is_judged(path: tuple[str, ...]) -> bool:
    return any(
        len(rule) == len(path) and all(part in ("*", name) for part, name in zip(rule, path, strict=True))
        for rule in _JUDGED
    )


def _leaves(policy: Policy) -> Iterator[tuple[tuple[str, ...], Any]]:
    said = msgspec.to_builtins(policy)
    del said["version"]
    for cause in said["causes"].values():
        if cause["named"] == said["parties"][cause["party"]]["named"]:
            del cause["named"]
    return _below((), said)


def _below(path: tuple[str, ...], value: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _below((*path, name), item)
    else:
        yield path, value
