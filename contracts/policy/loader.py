"""Loads the policy: the package's data, changed by what a shop overrides, checked and given its version."""

import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from pathlib import Path as FilePath
from typing import Any, NamedTuple

import msgspec
import yaml

from contracts.policy.model import Policy, Text
from contracts.policy.unreadable import unreadable
from contracts.policy.validation import Mistake, Path, Place, PolicyInvalid, find_mistakes, write_path

#: Levels of a text from outside.
_DEEPEST = 32
_FILES = ("limits.yaml", "problems.yaml", "causes.yaml", "texts.yaml")


class _Document(NamedTuple):
    """What YAML files say, where they say it, and which keys they say twice."""

    data: dict[str, Any]
    places: dict[Path, Place]
    mistakes: list[Mistake]


def load_policy(override: Mapping[str, Any] | None = None) -> Policy:
    """The policy in force, with a shop's `override` (domain.md §3, policy keys) laid over the package's data.

    Mappings are merged key by key, anything else replaces what was there. Problems, causes, parties and
    return reasons can be changed and added, nothing can be removed. PolicyInvalid lists every mistake.
    """
    return _overridden(_Document(dict(override), {}, [])) if override else _own_policy()


def load_policy_file(path: str | FilePath) -> Policy:
    """The policy in force with the override that a YAML file holds; mistakes come with their lines.

    OSError when the file cannot be read, PolicyInvalid when it says something wrong.
    """
    return _overridden(_parse(FilePath(path).read_bytes(), str(path)))


def load_policy_text(text: str) -> Policy:
    """The policy in force with the override that a YAML text holds, from whomever it comes; mistakes come with their
    lines. PolicyInvalid also for aliases and deep nesting, which could stand for a text of any length.
    """
    depth = 0
    try:
        for event in yaml.parse(text, yaml.CSafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or depth > _DEEPEST:
                message = Text("不接受别名(*)和过深的嵌套", "takes no aliases (*) and no deep nesting")
                line = event.start_mark.line + 1 if event.start_mark else 1
                raise PolicyInvalid([Mistake("policy", message, Place("", line))])
    except yaml.YAMLError:
        pass  # told with its line below
    return _overridden(_parse(text.encode(errors="replace"), ""))


def _overridden(override: _Document) -> Policy:
    base = _own_document()
    return _build(_merged(base.data, override.data), base.data, override.places, override.mistakes)


@cache
def _own_policy() -> Policy:
    base = _own_document()
    return _build(base.data, base.data, base.places, base.mistakes)


@cache
def _own_document() -> _Document:
    folder = resources.files("contracts.policy") / "data"
    whole = _Document({}, {}, [])
    for name in _FILES:
        part = _parse((folder / name).read_bytes(), name)
        whole.data.update(part.data)
        whole.places.update(part.places)
        whole.mistakes.extend(part.mistakes)
    return whole


def _build(
    data: Mapping[str, Any], base: Mapping[str, Any], places: Mapping[Path, Place], mistakes: list[Mistake]
) -> Policy:
    complete = _with_named(data)
    mistakes = [*mistakes, *find_mistakes(complete, base, places)]
    if mistakes:
        raise PolicyInvalid(sorted(mistakes, key=lambda mistake: mistake.place.line if mistake.place else 0))
    policy = msgspec.convert(complete, Policy)
    digest = hashlib.sha256(msgspec.json.encode(policy, order="sorted")).hexdigest()[:8]
    return msgspec.structs.replace(policy, version=f"{policy.version}+{digest}")


def _with_named(data: Mapping[str, Any]) -> dict[str, Any]:
    """Let a cause that does not say whether its party is named follow the party, also an overridden one."""
    causes, parties = data.get("causes"), data.get("parties")
    if not isinstance(causes, Mapping) or not isinstance(parties, Mapping):
        return dict(data)

    def named(cause: Any) -> Any:
        if not isinstance(cause, Mapping):
            return cause
        code = cause.get("party")
        party = parties.get(code) if isinstance(code, str) else None
        return {"named": isinstance(party, Mapping) and party.get("named") is True, **cause}

    return {**data, "causes": {code: named(cause) for code, cause in causes.items()}}


def _merged(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in override.items():
        below = merged.get(key, {})
        mergeable = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = _merged(below, value) if mergeable else value
    return merged


def _parse(text: bytes, file: str) -> _Document:
    loader = yaml.CSafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return _Document({}, {}, [])
        marked = list(_nodes(node, ()))  # before construction, which rewrites merge keys
        data = loader.construct_document(node)
    except yaml.YAMLError as error:
        line, why = unreadable(error)
        message = Text(f"不是有效的 YAML:{why.zh}", f"is not valid YAML: {why.en}")
        raise PolicyInvalid([Mistake("policy", message, Place(file, line))]) from error
    finally:
        loader.dispose()
    if not isinstance(data, dict):
        raise PolicyInvalid([Mistake("policy", Text("应为键值表", "must be a mapping"), Place(file, 1))])
    places: dict[Path, Place] = {}
    mistakes = []
    for path, line in marked:
        if path in places:
            mistakes.append(Mistake(write_path(path), Text("写了两次", "is given twice"), Place(file, line)))
        places[path] = Place(file, line)
    return _Document(data, places, mistakes)


def _nodes(node: yaml.Node, path: Path) -> Iterator[tuple[Path, int]]:
    """Every key and list item below a node with the line it stands in."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below: Path = (*path, str(key.value))
            yield below, key.start_mark.line + 1
            yield from _nodes(value, below)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield (*path, index), item.start_mark.line + 1
            yield from _nodes(item, (*path, index))
