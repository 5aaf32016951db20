"""The table of kinds of operations: what each is given, where it may work, and what does it."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from contracts.policy import Text
from services.catalogue import SERVICES
from services.doctor.checks import CHECKS
from services.kernel.intake import field_errors, wrong_fields
from services.kernel.operations import Operation
from services.kernel.refusal import Refusal
from services.kernel.settings import Settings
from services.operations.asking import WhatIf, ask
from services.operations.examining import Doctor, doctor
from services.operations.kind import Kind, Options
from services.operations.moving import Export, Resend, export, resend
from services.operations.rebuilding import Rebuild, rebuild, tables_of
from services.operations.verifying import Verify, verify

#: The options of an operation stand in an event.
MAX_OPTIONS_BYTES: Final = 512 << 10
_EVERYWHERE: Final = tuple(SERVICES)

KINDS: Final[Mapping[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind("verify", Text(zh="校验日志", en="verify a log"), Verify, verify, _EVERYWHERE),
        Kind("doctor", Text(zh="一致性检查", en="check consistency"), Doctor, doctor, _EVERYWHERE),
        Kind("export", Text(zh="导出事件", en="export events"), Export, export, _EVERYWHERE),
        Kind("resend", Text(zh="重发事件", en="send events once more"), Resend, resend, _EVERYWHERE),
        Kind("rebuild", Text(zh="重建查询表", en="rebuild read tables"), Rebuild, rebuild, _EVERYWHERE),
        Kind("what_if", Text(zh="假设重演", en="decide history again by other rules"), WhatIf, ask, ("cases",)),
    )
}


class Choice(msgspec.Struct, frozen=True):
    """One of the names that an option takes, and what it means, where there are words for it."""

    name: str
    about: Text | None = None


class KindOfWork(msgspec.Struct, frozen=True):
    """What can be started: on which `services`, and of options that take names (`tables` of rebuild, `checks` of
    doctor) which ones there are, by service and option. `possible`: false where this installation lacks what it
    needs."""

    kind: str
    about: Text
    services: tuple[str, ...]
    possible: bool
    choices: dict[str, dict[str, list[Choice]]]


def kinds_of_work(settings: Settings) -> list[KindOfWork]:
    """All kinds, in the order of the table."""
    return [
        KindOfWork(
            kind.name,
            kind.about,
            kind.services,
            kind.name != "resend" or bool(settings.kafka_servers),
            {service: choices for service in kind.services if (choices := _choices(kind, service))},
        )
        for kind in KINDS.values()
    ]


def _choices(kind: Kind, service: str) -> dict[str, list[Choice]]:
    if kind.name == "rebuild":
        return {"tables": [Choice(name) for name in tables_of(service)]}
    if kind.name == "doctor":
        return {"checks": [Choice(one.name, one.compares) for one in CHECKS if service in one.services]}
    return {}


def options_of(kind: Kind, service: str, given: Mapping[str, Any], settings: Settings) -> Options:
    """The options of an operation as its kind has them. Raises `Refusal` `invalid`, which names every wrong field."""
    wrong: list[dict[str, str]] = []
    if service not in kind.services:
        names = ", ".join(kind.services)
        wrong.append(_wrong("service", "one_of", f"只能是:{names}", f"must be one of: {names}"))
    if kind.name == "resend" and not settings.kafka_servers:
        zh, en = "这里没有设置 Kafka(AFTERSALES_KAFKA_SERVERS)", "no brokers are named here (AFTERSALES_KAFKA_SERVERS)"
        wrong.append(_wrong("kind", "no_broker", zh, en))
    try:
        options = msgspec.convert(given, kind.options)
    except msgspec.ValidationError:
        found = field_errors(kind.options, given)
        raise wrong_fields([*wrong, *(_of_option(kind, one) for one in found)]) from None
    if len(msgspec.json.encode(options)) > MAX_OPTIONS_BYTES:
        limit = MAX_OPTIONS_BYTES >> 10
        wrong.append(_wrong("options", "length", f"不能超过 {limit} KB", f"must not be longer than {limit} KB"))
    wrong += [_wrong(f"options.{field}", *said) for field, *said in options.mistakes(service)]
    if wrong:
        raise wrong_fields(wrong)
    return options


def must_be_resumable(known: Operation, settings: Settings) -> None:
    """Raises `Refusal` where nobody is at work on an operation and it cannot be taken up: `operation_not_resumable`,
    whoever tries, and `invalid` where only this installation cannot."""
    if known.state == "interrupted":
        done = known.progress.done if known.progress else 0
        must_be_anybodys(known.id, known.kind, known.options, done)
        options_of(KINDS[known.kind], known.service, known.options, settings)


def must_be_anybodys(operation: str, kind: str, options: Mapping[str, Any], done: int) -> None:
    """Raises `Refusal` `operation_not_resumable` for what only the command that began it can do, such as writing to a
    file of its own; `first` is then where it goes on after `done` places of the log, 0 where it begins anew."""
    known = KINDS.get(kind)
    foreign = [name for name in options if known and name not in _names(known)]
    if known and not foreign:
        return
    goes_on = kind == "resend" and done and not {"order", "case"} & options.keys()
    raise Refusal(
        "operation_not_resumable",
        operation=operation,
        work=f"{kind} ({', '.join(foreign)})" if foreign else kind,
        first=options.get("first", 1) + done if goes_on else 0,
    )


def _names(kind: Kind) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(kind.options)]


def _of_option(kind: Kind, wrong: dict[str, str]) -> dict[str, str]:
    """What is wrong with an option; where there is no such option, which there are."""
    said = {**wrong, "field": f"options.{wrong['field']}"}
    if wrong["rule"] == "known_field":
        names = ", ".join(_names(kind))
        said |= {"zh": f"没有这个选项;可用:{names}", "en": f"is no option of {kind.name}; there are: {names}"}
    return said


def _wrong(field: str, rule: str, zh: str, en: str) -> dict[str, str]:
    return {"field": field, "rule": rule, "zh": zh, "en": en}
