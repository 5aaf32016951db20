"""Whether two versions of an event read each other (FULL_TRANSITIVE): a pure comparison of JSON Schemas.

Both directions count, because an old service reads what a new one writes as well as the other way round.
So what a field may hold never changes, neither to less nor to more; fields come and go only if they have
a default; and the default itself stays, because a value equal to it is not written. Any other difference
is a finding too.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

Schema = Mapping[str, Any]

#: What each finding means, for people: zh and en.
RULES = {
    "type_removed": ("已发布的事件类型不见了", "a released event type is gone"),
    "version_lowered": ("版本号 {new} 低于已发布的 {old}", "version {new} is below the released {old}"),
    "upcaster_missing": (
        "缺少从版本 {old} 升到 {new} 的升级函数",
        "there is no upcaster from version {old} to {new}",
    ),
    "upcaster_idle": (
        "升级函数没有可升级的版本 {old}",
        "an upcaster for version {old}, which nothing older needs",
    ),
    "tag_renamed": ("标识由 {old} 改为 {new}", "the tag was {old} and is {new}"),
    "field_added_required": ("新增的字段没有默认值", "a new field has no default"),
    "field_removed_required": ("删掉了必填字段", "a required field is gone"),
    "field_became_required": ("可省略的字段变成了必填", "an optional field became required"),
    "field_became_optional": ("必填字段变成了可省略", "a required field became optional"),
    "default_changed": ("默认值由 {old} 改为 {new}", "the default was {old} and is {new}"),
    "unknown_fields_forbidden": ("读者拒绝未知字段", "a reader refuses unknown fields"),
    "type_changed": ("类型由 {old} 改为 {new}", "the type was {old} and is {new}"),
    "type_narrowed": ("类型由 {old} 收窄为 {new}", "the type was {old} and narrowed to {new}"),
    "type_widened": ("类型由 {old} 放宽为 {new}", "the type was {old} and widened to {new}"),
    "range_narrowed": ("{keyword} 由 {old} 收窄为 {new}", "{keyword} was {old} and narrowed to {new}"),
    "range_widened": ("{keyword} 由 {old} 放宽为 {new}", "{keyword} was {old} and widened to {new}"),
    "enum_changed": ("取值由 {old} 改为 {new}", "the values were {old} and are {new}"),
    "enum_narrowed": ("取值由 {old} 减为 {new}", "the values were {old} and shrank to {new}"),
    "enum_widened": ("取值由 {old} 增为 {new}", "the values were {old} and grew to {new}"),
    "constraint_changed": ("{keyword} 由 {old} 改为 {new}", "{keyword} was {old} and is {new}"),
}

#: Keywords that say something to people and nothing to readers.
_ANNOTATIONS = frozenset(
    {"$schema", "$id", "$defs", "$comment", "title", "description", "examples", "deprecated", "x-sealed"}
)
_LOWER_BOUNDS = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER_BOUNDS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_DONE_ELSEWHERE = frozenset(
    {
        "type",
        "enum",
        "default",
        "properties",
        "required",
        "additionalProperties",
        "items",
        *_LOWER_BOUNDS,
        *_UPPER_BOUNDS,
    }
)
_ANYTHING: Schema = {}


class Difference(NamedTuple):
    """Where two schemas do not read each other, by which rule, and the same for people."""

    path: str
    rule: str
    zh: str
    en: str


class Finding(NamedTuple):
    """A difference between the present struct of an event type and what `against` names (`v1`)."""

    event: str
    against: str
    difference: Difference

    def __str__(self) -> str:
        path, rule, zh, en = self.difference
        return f"{self.event} ({self.against}) {path} {rule}: {zh} / {en}"


class Declaration(NamedTuple):
    """An event type as the structs declare it now."""

    version: int
    schema: Schema


class Release(NamedTuple):
    """A schema that was released once; several of one version differ by fields with defaults only."""

    name: str
    version: int
    schema: Schema


def audit(
    present: Mapping[str, Declaration],
    released: Mapping[str, Sequence[Release]],
    upcasters: Collection[tuple[str, int]],
) -> list[Finding]:
    """Everything that keeps the present structs from reading, or being read by, any released version."""
    findings = [
        Finding(name, "*", _difference("$", "type_removed")) for name in sorted(released.keys() - present.keys())
    ]
    for name, declared in sorted(present.items()):
        for release in released.get(name, ()):
            findings += [Finding(name, release.name, d) for d in compare(release.schema, declared.schema)]
            if release.version > declared.version:
                lowered = _difference("$", "version_lowered", old=release.version, new=declared.version)
                findings.append(Finding(name, release.name, lowered))
    return findings + list(_upcasting(present, upcasters))


def compare(old: Schema, new: Schema) -> list[Difference]:
    """The differences that keep readers of one schema from reading data of the other, either way round."""
    return list(_nodes(plain(old), plain(new), "$"))


def plain(document: Schema) -> Schema:
    """The schema without annotations, its references replaced by what they refer to."""
    definitions = document.get("$defs", {})

    def resolve(node: Any, inside: frozenset[str]) -> Schema:
        if isinstance(node, bool):
            return _ANYTHING if node else {"not": _ANYTHING}
        reference = node.get("$ref")
        if reference in inside:  # a recursive type: its name stands for it
            return {"$ref": reference}
        if reference is not None:
            siblings = {keyword: value for keyword, value in node.items() if keyword != "$ref"}
            return resolve({**definitions[reference.removeprefix("#/$defs/")], **siblings}, inside | {reference})
        return {
            keyword: _map_schemas(keyword, value, lambda part: resolve(part, inside))
            for keyword, value in node.items()
            if keyword not in _ANNOTATIONS
        }

    return resolve(document, frozenset())


def _map_schemas(keyword: str, value: Any, resolve: Callable[[Any], Schema]) -> Any:
    if keyword == "properties":
        return {name: resolve(part) for name, part in value.items()}
    if keyword in ("anyOf", "oneOf", "allOf", "prefixItems"):
        return [resolve(part) for part in value]
    if keyword in ("items", "additionalProperties") and not isinstance(value, bool):
        return resolve(value)
    return value


def _upcasting(present: Mapping[str, Declaration], upcasters: Collection[tuple[str, int]]) -> Iterator[Finding]:
    for name, declared in sorted(present.items()):
        for version in range(1, declared.version):
            if (name, version) not in upcasters:
                missing = _difference("$", "upcaster_missing", old=version, new=version + 1)
                yield Finding(name, f"v{version}", missing)
    for name, version in sorted(upcasters):
        if name not in present or not 1 <= version < present[name].version:
            yield Finding(name, f"v{version}", _difference("$", "upcaster_idle", old=version))


def _nodes(old: Schema, new: Schema, path: str) -> Iterator[Difference]:
    if old == new:
        return
    tagged = max(_count_objects(old), _count_objects(new)) > 1
    old_kinds, new_kinds = _alternatives(old, tagged), _alternatives(new, tagged)
    yield from _change("type", path, set(old_kinds), set(new_kinds))
    for kind in (kind for kind in old_kinds if kind in new_kinds):
        yield from _alternative(old_kinds[kind], new_kinds[kind], path)


def _alternatives(node: Schema, tagged: bool) -> dict[str, Schema]:
    """What a value may be, by JSON type; objects of a union also by their tag."""
    for keyword in ("anyOf", "oneOf"):
        if keyword in node:
            rest = {name: value for name, value in node.items() if name not in (keyword, "default")}
            return {
                kind: {**rest, **alternative}
                for member in node[keyword]
                for kind, alternative in _alternatives(member, tagged).items()
            }
    if "enum" in node:
        values: dict[str, list[Any]] = {}
        for value in node["enum"]:
            values.setdefault(_type_of_value(value), []).append(value)
        return {kind: {**node, "enum": some} for kind, some in values.items()}
    kinds = node.get("type", "any")
    return {
        f"object {_tag(node)}" if tagged and kind == "object" else kind: node
        for kind in ([kinds] if isinstance(kinds, str) else kinds)
    }


def _count_objects(node: Schema) -> int:
    return sum(member.get("type") == "object" for member in node.get("anyOf", node.get("oneOf", ())))


def _tag(node: Schema) -> str:
    tags = [part["enum"][0] for part in node.get("properties", {}).values() if len(part.get("enum", ())) == 1]
    return str(tags[0]) if tags else ""


def _alternative(old: Schema, new: Schema, path: str) -> Iterator[Difference]:
    yield from _values(old, new, path)
    yield from _bounds(old, new, path)
    yield from _fields(old, new, path)
    yield from _nodes(_part(old, "items"), _part(new, "items"), f"{path}[]")
    for keyword in sorted((old.keys() | new.keys()) - _DONE_ELSEWHERE):
        if old.get(keyword) != new.get(keyword):
            yield _difference(path, "constraint_changed", keyword, old.get(keyword), new.get(keyword))


def _values(old: Schema, new: Schema, path: str) -> Iterator[Difference]:
    before, after = old.get("enum"), new.get("enum")
    if before is None and after is None:
        return
    if before is None or after is None:
        yield _difference(
            path, "enum_widened" if after is None else "enum_narrowed", old=before or "*", new=after or "*"
        )
    elif len(before) == len(after) == 1 and before != after:
        yield _difference(path, "tag_renamed", old=before[0], new=after[0])
    else:
        yield from _change("enum", path, {_text(value) for value in before}, {_text(value) for value in after})


def _bounds(old: Schema, new: Schema, path: str) -> Iterator[Difference]:
    for keywords, sign in ((_LOWER_BOUNDS, 1), (_UPPER_BOUNDS, -1)):
        for keyword in keywords:
            before, after = old.get(keyword), new.get(keyword)
            if before == after:
                continue
            narrowed = before is None or (after is not None and sign * after > sign * before)
            rule = "range_narrowed" if narrowed else "range_widened"
            yield _difference(path, rule, keyword, before, after)


def _fields(old: Schema, new: Schema, path: str) -> Iterator[Difference]:
    before, after = old.get("properties", {}), new.get("properties", {})
    for name in [*before, *(name for name in after if name not in before)]:
        yield from _field(name, old, new, f"{path}.{name}")
    closed_before, closed_after = (node.get("additionalProperties") is False for node in (old, new))
    if closed_before != closed_after or (closed_before and before.keys() != after.keys()):
        yield _difference(path, "unknown_fields_forbidden")
    elif not closed_before:
        yield from _nodes(_part(old, "additionalProperties"), _part(new, "additionalProperties"), f"{path}{{}}")


def _field(name: str, old: Schema, new: Schema, path: str) -> Iterator[Difference]:
    before, after = (node.get("properties", {}).get(name) for node in (old, new))
    needed_before, needed_after = (name in node.get("required", ()) for node in (old, new))
    if before is None or after is None:
        if needed_before or needed_after:
            yield _difference(path, "field_added_required" if before is None else "field_removed_required")
        return
    if needed_before != needed_after:
        yield _difference(path, "field_became_required" if needed_after else "field_became_optional")
    elif not needed_before and _default(before) != _default(after):
        yield _difference(path, "default_changed", old=_default(before), new=_default(after))
    yield from _nodes(before, after, path)


def _default(field: Schema) -> str:
    return _text(field["default"]) if "default" in field else "?"


def _part(node: Schema, keyword: str) -> Schema:
    part: Schema | bool = node.get(keyword, _ANYTHING)
    if isinstance(part, bool):
        return _ANYTHING if part else {"not": _ANYTHING}
    return part


def _change(what: str, path: str, old: set[str], new: set[str]) -> Iterator[Difference]:
    if old == new:
        return
    direction = "narrowed" if new < old else "widened" if old < new else "changed"
    yield _difference(path, f"{what}_{direction}", old=" | ".join(sorted(old)), new=" | ".join(sorted(new)))


def _difference(path: str, rule: str, keyword: str = "", old: Any = None, new: Any = None) -> Difference:
    zh, en = RULES[rule]
    words = {"keyword": keyword, "old": _shown(old), "new": _shown(new)}
    return Difference(path, rule, zh.format(**words), en.format(**words))


def _shown(value: Any) -> str:
    return value if isinstance(value, str) and value else _text(value)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _type_of_value(value: Any) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
    return names.get(type(value), "any")
