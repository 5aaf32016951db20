"""From a raw body to a decision: the checks that every command passes, in the order of `domain.md` §3."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from services.kernel.decider import Command, CommandSpec, Context, Domain, Events, F
from services.kernel.refusal import Refusal

_EXPLAINED = (
    (
        r"Expected `int`, got `(float|str)`",
        "须为整数(金额以分为单位,不带小数点)",
        "must be an integer (money is in fen)",
    ),
    (r"Expected `int` >= (\S+)", "不能小于 {0}", "must be at least {0}"),
    (r"Expected `int` <= (\S+)", "不能大于 {0}", "must be at most {0}"),
    (r"Expected `(\w+)`, got `(\w+)`", "类型须为 {0},而不是 {1}", "must be {0}, not {1}"),
    (r"Expected `str` of length <= (\d+)", "最多 {0} 个字符", "must have at most {0} characters"),
    (r"Expected `array` of length >= (\d+)", "至少 {0} 项", "must have at least {0} entries"),
    (r"Expected `array` of length <= (\d+)", "最多 {0} 项", "must have at most {0} entries"),
    (r"Expected `str` matching regex", "格式不对,或为空白", "has the wrong form, or is blank"),
    (r"Invalid enum value ('[^']*')", "不允许的取值 {0}", "{0} is not one of the allowed values"),
    (r"Invalid RFC3339|timezone", "须为带时区的 RFC 3339 时间", "must be an RFC 3339 time with offset"),
    (r"missing required field", "缺少必填字段", "is required"),
    (r"unknown field", "没有这个字段", "is not a field of this command"),
)


def read_body(raw: bytes) -> Any:
    """The JSON of a request; raises `Refusal("invalid")` for anything that is none."""
    try:
        return msgspec.json.decode(raw or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal("invalid", field="body", errors=[_error("body", "json", "不是合法的 JSON", str(error))]) from None


def intake(domain: Domain[F], file: F, case_id: str, name: str, body: Any, context: Context) -> Events:
    """Decide a command about a file, or raise `Refusal`; changes nothing."""
    spec = domain.commands[name]
    if not isinstance(body, Mapping):
        raise Refusal("invalid", field="body", errors=[_error("body", "object", "须为 JSON 对象", "must be an object")])
    domain.check_known(file, case_id, name, body)
    command = parse(spec.body, body)
    if spec.validate is not None:
        spec.validate(file, case_id, command, context)
    if context.actor.role not in spec.roles:
        raise Refusal("forbidden", command=name, role=_lowest(spec))
    events = spec.decide(file, case_id, command, context)
    if command.note and events and hasattr(events[0], "note"):
        return [msgspec.structs.replace(events[0], note=command.note), *events[1:]]
    return events


def _lowest(spec: CommandSpec[Any]) -> str:
    """The role to ask for help, as the way out."""
    ladder = ("agent", "team_lead", "store_manager", "warehouse", "finance", "service")
    return next(role for role in ladder if role in spec.roles)


def parse(body_type: type[Command], body: Mapping[str, Any]) -> Any:
    """The body as its struct; raises `Refusal("invalid")` that names every wrong field."""
    try:
        return msgspec.convert(body, body_type)
    except msgspec.ValidationError:
        errors = field_errors(body_type, body)
        raise Refusal("invalid", field=errors[0]["field"], reason=errors[0]["en"], errors=errors) from None


def field_errors(body_type: type[Command], body: Mapping[str, Any]) -> list[dict[str, str]]:
    """What is wrong with each field of a body that is no `body_type`."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(body_type)}
    errors = [_explain(name, "unknown field") for name in body if name not in fields]
    for name, field in fields.items():
        if name not in body:
            if field.required:
                errors.append(_explain(name, "missing required field"))
            continue
        try:
            msgspec.convert(body[name], field.type)
        except msgspec.ValidationError as error:
            errors.append(_explain(name, str(error)))
    return errors


def _explain(name: str, message: str) -> dict[str, str]:
    text, _, path = message.partition(" - at `$")
    if "contains unknown field" in text or "missing required field" in text:
        name, text = _inner_field(name, path, text)
    elif path:
        name += path.rstrip("`")
    for pattern, zh, en in _EXPLAINED:
        match = re.search(pattern, text)
        if match:
            rule = "type" if match[0].startswith("Expected `") and "got" in match[0] else _rule(text)
            return _error(name, rule, zh.format(*match.groups()), en.format(*match.groups()))
    return _error(name, "value", "取值不对", text)


def _inner_field(name: str, path: str, text: str) -> tuple[str, str]:
    inner = re.search(r"field `(\w+)`", text)
    what = "unknown field" if "unknown" in text else "missing required field"
    return name + path.rstrip("`") + (f".{inner[1]}" if inner else ""), what


def _rule(text: str) -> str:
    for word, rule in (("unknown", "known_field"), ("missing", "required"), ("enum", "one_of"), ("regex", "form")):
        if word in text:
            return rule
    return "range" if re.search(r"[<>]=", text) else "value"


def _error(field: str, rule: str, zh: str, en: str) -> dict[str, str]:
    return {"field": field, "rule": rule, "zh": zh, "en": en}
