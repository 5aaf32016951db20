"""Finds every mistake in the data of a policy at once, each with its place and in both languages."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from itertools import chain
from typing import Any

from msgspec import Struct, inspect

from contracts.policy.model import Policy, Text

Path = tuple[str | int, ...]


class Place(Struct, frozen=True):
    """Where in a file something stands; `line` counts from 1."""

    file: str
    line: int


class Mistake(Struct, frozen=True):
    """One thing that is wrong: where (`problems.damaged_on_arrival.remedies[2]`), what, and in which file."""

    path: str
    message: Text
    place: Place | None = None

    def __str__(self) -> str:
        where = f"{self.place.file}:{self.place.line}: " if self.place else ""
        return f"{where}{self.path}: {self.message.zh} / {self.message.en}"


class PolicyInvalid(Exception):
    """The policy has mistakes; all of them are listed."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))


Found = tuple[Path, Text]


def find_mistakes(data: Mapping[str, Any], base: Mapping[str, Any], places: Mapping[Path, Place]) -> Iterator[Mistake]:
    """Check the whole content of a policy: its shape against the structs, then what holds between its parts.

    `base` is the package's own content, whose texts are all there are; `places` says where things stand.
    """
    rules = (_parties(data), _repeated(data), _texts(data, base))
    for path, message in chain(_shape(data, _policy_type(), ()), *rules):
        yield Mistake(write_path(path), message, _place(path, places))


def write_path(path: Path) -> str:
    """A path as people read it: `problems.home_delivery.steps[0].zh`."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(steps).removeprefix(".") or "policy"


def _place(path: Path, places: Mapping[Path, Place]) -> Place | None:
    """The place of the path or, for something missing, of what it is missing from."""
    prefixes = (path[:length] for length in range(len(path), -1, -1))
    return next((places[prefix] for prefix in prefixes if prefix in places), None)


@cache
def _policy_type() -> inspect.Type:
    return inspect.type_info(Policy)


def _shape(value: Any, kind: inspect.Type, path: Path) -> Iterator[Found]:
    match kind:
        case inspect.StructType():
            yield from _struct(value, kind, path)
        case inspect.DictType():
            yield from _table(value, kind, path)
        case inspect.VarTupleType():
            yield from _list(value, kind, path)
        case inspect.EnumType():
            yield from _choice(value, [member.value for member in kind.cls], path)
        case inspect.LiteralType():
            yield from _choice(value, kind.values, path)
        case inspect.StrType():
            yield from _string(value, kind, path)
        case inspect.IntType():
            yield from _whole_number(value, kind, path)
        case inspect.BoolType():
            if not isinstance(value, bool):
                yield path, Text("应为 true 或 false", "must be true or false")
        case _:
            raise TypeError(f"no rule for {kind} at {write_path(path)}")


def _struct(value: Any, kind: inspect.StructType, path: Path) -> Iterator[Found]:
    if not isinstance(value, Mapping):
        yield path, _not_mapping(value)
        return
    fields = {field.encode_name: field for field in kind.fields}
    for key in value:
        if key not in fields:
            yield (*path, str(key)), _unknown("键", "key", key, fields)
    for name, field in fields.items():
        if name in value:
            yield from _shape(value[name], field.type, (*path, name))
        elif field.required:
            yield (*path, name), Text("缺失", "is missing")


def _table(value: Any, kind: inspect.DictType, path: Path) -> Iterator[Found]:
    if not isinstance(value, Mapping):
        yield path, _not_mapping(value)
        return
    for key, item in value.items():
        yield from _shape(key, kind.key_type, (*path, str(key)))
        yield from _shape(item, kind.value_type, (*path, str(key)))


def _list(value: Any, kind: inspect.VarTupleType, path: Path) -> Iterator[Found]:
    if not isinstance(value, (list, tuple)):
        yield path, Text(f"应为列表,而不是 {value!r}", f"must be a list, not {value!r}")
        return
    for index, item in enumerate(value):
        yield from _shape(item, kind.item_type, (*path, index))


def _choice(value: Any, choices: Collection[Any], path: Path) -> Iterator[Found]:
    if value not in choices:
        yield path, _unknown("值", "value", value, choices)


def _string(value: Any, kind: inspect.StrType, path: Path) -> Iterator[Found]:
    if not isinstance(value, str):
        yield path, Text(f"应为文字,而不是 {value!r}", f"must be text, not {value!r}")
    elif kind.min_length and not value.strip():
        yield path, Text("不能为空", "must not be empty")
    elif kind.pattern and not re.search(kind.pattern, value):
        zh = f"代码 {value!r} 只能用小写字母、数字和下划线,并以字母开头"
        en = f"the code {value!r} may have small letters, digits and underscores only, a letter first"
        yield path, Text(zh, en)


def _whole_number(value: Any, kind: inspect.IntType, path: Path) -> Iterator[Found]:
    if type(value) is not int:  # a bool is an int to Python, and a float must never become money
        zh, en = f"应为整数,而不是 {value!r}", f"must be a whole number, not {value!r}"
        if str(path[-1]).endswith("_fen") or path[0] == "authority":
            zh, en = f"{zh}(金额以分为单位)", f"{en} (money is in fen)"
        yield path, Text(zh, en)
    elif kind.ge is not None and value < kind.ge:
        yield path, Text(f"不能小于 {kind.ge}(现为 {value})", f"must be at least {kind.ge}, not {value}")


def _parties(data: Mapping[str, Any]) -> Iterator[Found]:
    """A cause charges a party that exists."""
    parties = _mapping(data.get("parties"))
    for code, cause in _mapping(data.get("causes")).items():
        party = _mapping(cause).get("party")
        if isinstance(party, str) and party not in parties:
            yield ("causes", str(code), "party"), _unknown("责任方", "party", party, parties)


def _repeated(data: Mapping[str, Any]) -> Iterator[Found]:
    """A remedy is listed once."""
    for code, problem in _mapping(data.get("problems")).items():
        remedies = _mapping(problem).get("remedies")
        if not isinstance(remedies, (list, tuple)):
            continue
        for index, remedy in enumerate(remedies):
            if remedy in remedies[:index]:
                path: Path = ("problems", str(code), "remedies", index)
                yield path, Text(f"{remedy!r} 重复", f"{remedy!r} is listed twice")


def _texts(data: Mapping[str, Any], base: Mapping[str, Any]) -> Iterator[Found]:
    """Nobody would ever read a text for a code that does not exist."""
    texts = _mapping(data.get("texts"))
    for table, codes in base["texts"].items():
        for code in _mapping(texts.get(table)):
            if code not in codes:
                yield ("texts", table, str(code)), _unknown("代码", "code", code, codes)


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def _not_mapping(value: Any) -> Text:
    return Text(f"应为键值表,而不是 {value!r}", f"must be a mapping, not {value!r}")


def _unknown(what_zh: str, what_en: str, value: Any, known: Collection[Any]) -> Text:
    near = get_close_matches(str(value), [str(item) for item in known], n=1)
    hint_zh, hint_en = (f",是否想写 {near[0]}?", f", did you mean {near[0]}?") if near else ("", "")
    return Text(f"未知的{what_zh} {value!r}{hint_zh}", f"unknown {what_en} {value!r}{hint_en}")
