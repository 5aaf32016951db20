"""From a raw body to a decision: the checks that every command passes, in the order of `domain.md` §3."""

import re
import types
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from services.kernel.actor import Actor
from services.kernel.decider import Command, CommandSpec, Context, Domain, Events, F
from services.kernel.refusal import Refusal

#: Wrong fields that one answer names.
MAX_ERRORS = 50


_EXPLAINED = (
    (
        r"Expected `int`, got `(float|str)`",
        "须为整数(金额以分为单位,不带小数点)",
        "must be an integer (money is in fen)",
    ),
    (r"Expected `int` >= (\S+)", "不能小于 {0}", "must be at least {0}"),
    (r"Expected `int` <= (\S+)", "不能大于 {0}", "must be at most {0}"),
    (r"Expected `(.+)`, got `(\w+)`", "类型须为 {0},而不是 {1}", "must be {0}, not {1}"),
    (r"Expected `str` of length <= (\d+)", "最多 {0} 个字符", "must have at most {0} characters"),
    (r"Expected `array` of length >= (\d+)", "至少 {0} 项", "must have at least {0} entries"),
    (r"Expected `array` of length <= (\d+)", "最多 {0} 项", "must have at most {0} entries"),
    (r"Expected `str` matching regex", "格式不对,或为空白", "has the wrong form, or is blank"),
    (r"Invalid RFC3339|timezone", "须为带时区的 RFC 3339 时间", "must be an RFC 3339 time with offset"),
)


class Unfit(msgspec.Struct, frozen=True):
    """A body that the border found wrong. It is refused so once it is clear that the case is known and open."""

    refusal: Refusal
    fields: Mapping[str, Any] = {}


def intake(domain: Domain[F], file: F, case_id: str, name: str, body: Any, context: Context) -> Events:
    """Decide a command about a file, or raise `Refusal`; changes nothing. `body` is a mapping or `Unfit`."""
    spec = domain.commands[name]
    if isinstance(body, Unfit):
        _check_known(domain, file, case_id, name, body)
        raise body.refusal
    domain.check_known(file, case_id, name, body)
    command = parse(spec.body, body)
    if spec.validate is not None:
        spec.validate(file, case_id, command, context)
    check_role(spec, name, context.actor)
    events = spec.decide(file, case_id, command, context)
    if command.note and events and hasattr(events[0], "note"):
        return [msgspec.structs.replace(events[0], note=command.note), *events[1:]]
    return events


def _check_known(domain: Domain[F], file: F, case_id: str, name: str, body: Unfit) -> None:
    """An unknown thing comes before a closed case, also where it is the border that does not know it."""
    try:
        domain.check_known(file, case_id, name, body.fields)
    except Refusal as refusal:
        if refusal.code == "invalid_transition" and body.refusal.code == "unknown_item":
            return
        raise


def check_role(spec: CommandSpec[Any], name: str, actor: Actor) -> None:
    """Raises `Refusal` `forbidden` for a role that never gives a command."""
    if actor.role not in spec.roles:
        raise Refusal("forbidden", command=name, role=_lowest(spec))


def _lowest(spec: CommandSpec[Any]) -> str:
    """The role to ask for help, as the way out."""
    ladder = ("agent", "team_lead", "store_manager", "warehouse", "finance", "service")
    return next(role for role in ladder if role in spec.roles)


def parse(body_type: type[Command], body: Mapping[str, Any]) -> Any:
    """The body as its struct; raises `Refusal("invalid")` that names every wrong field."""
    try:
        return msgspec.convert(body, body_type)
    except msgspec.ValidationError:
        raise wrong_fields(field_errors(body_type, body)) from None


def wrong_fields(errors: list[dict[str, str]]) -> Refusal:
    """The refusal that names these fields."""
    return Refusal("invalid", field=errors[0]["field"], errors=errors)


def field_errors(body_type: type[msgspec.Struct], body: Mapping[str, Any]) -> list[dict[str, str]]:
    """What is wrong with each field of a body, however deep, that is no `body_type`; at most `MAX_ERRORS`."""
    return list(islice(_in_struct(body_type, body, ""), MAX_ERRORS))


def _in_struct(struct: type[msgspec.Struct], value: Mapping[str, Any], path: str) -> Iterator[dict[str, str]]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    for name in value:
        if name not in fields:
            yield _error(f"{path}{name}", "known_field", "没有这个字段", "is not a field of this command")
    for name, field in fields.items():
        if name in value:
            yield from _in_value(field.type, value[name], f"{path}{name}")
        elif field.required:
            yield _error(f"{path}{name}", "required", "缺少必填字段", "is required")


def _in_value(expected: Any, value: Any, path: str) -> Iterator[dict[str, str]]:
    try:
        msgspec.convert(value, expected)
    except msgspec.ValidationError as error:
        inner = [each for part in _parts(expected) for each in _inside(part, value, path)]
        yield from inner or [_explain(path, str(error), expected)]


def _inside(part: Any, value: Any, path: str) -> Iterator[dict[str, str]]:
    """What is wrong within a value of many; nothing where it is the value itself."""
    origin = get_origin(part)
    if isinstance(value, list) and origin is tuple:
        for place, item in enumerate(value):
            yield from _in_value(get_args(part)[0], item, f"{path}[{place}]")
    elif isinstance(value, Mapping) and origin is dict:
        for key, item in value.items():
            yield from _in_value(get_args(part)[0], key, f"{path}.{key}")
            yield from _in_value(get_args(part)[1], item, f"{path}.{key}")
    elif isinstance(value, Mapping) and isinstance(part, type) and issubclass(part, msgspec.Struct):
        yield from _in_struct(part, value, f"{path}.")


def _parts(expected: Any) -> Iterator[Any]:
    """The types that a value may have, bare of their bounds."""
    origin = get_origin(expected)
    if origin is Annotated:
        yield from _parts(get_args(expected)[0])
    elif origin in (Union, types.UnionType):
        for part in get_args(expected):
            yield from _parts(part)
    else:
        yield expected


def _explain(field: str, message: str, expected: Any) -> dict[str, str]:
    choices = [str(choice) for part in _parts(expected) if get_origin(part) is Literal for choice in get_args(part)]
    if choices:
        return _error(field, "one_of", f"只能是:{'、'.join(choices)}", f"must be one of: {', '.join(choices)}")
    for pattern, zh, en in _EXPLAINED:
        match = re.search(pattern, message)
        if match:
            return _error(field, _rule(match[0]), zh.format(*match.groups()), en.format(*match.groups()))
    return _error(field, "value", "取值不对", message[:200])


def _rule(message: str) -> str:
    if ", got " in message:
        return "type"
    if "length" in message:
        return "length"
    if "regex" in message or "RFC3339" in message or "timezone" in message:
        return "form"
    return "range"


def _error(field: str, rule: str, zh: str, en: str) -> dict[str, str]:
    return {"field": field[:200], "rule": rule, "zh": zh, "en": en}
