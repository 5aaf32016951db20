"""A scenario file as checked data (domain.md §7): every mistake in it is found at once, with its step and field."""

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from contracts.events.refunds import Settlement
from contracts.policy import Policy, PolicyInvalid, load_policy
from contracts.registry import EVENT_TYPES
from services.kernel.actor import ROLES, Actor

#: What a step may do besides a command: fields it takes, of which the second group must be there.
DIRECTIONS: Final[Mapping[str, tuple[frozenset[str], frozenset[str]]]] = {
    "wait": (frozenset({"until"}), frozenset({"until"})),
    "redeliver": (frozenset({"times", "at"}), frozenset()),
    "restart": (frozenset({"at"}), frozenset()),
    "rebuild": (frozenset({"at"}), frozenset()),
}
#: Kinds of file that the runner makes by itself.
GENERATED: Final = ("photo", "video")
#: What the provider can be told to do (`gateway.outcomes`); more than domain.md names is for trials of our own.
OUTCOMES: Final = (
    *("ok", "fail", "timeout", "timeout_paid", "timeout_unpaid"),
    *("late", "duplicate_callback", "lie", "error"),
)

_TOP_KEYS = ("scenario", "title", "policy", "gateway", "stock", "orders", "steps", "expect")
_REQUIRED = ("scenario", "title", "orders", "steps", "expect")
_OWN_FIELDS = frozenset({"do", "as", "case", "at", "save", "refused", "if_version"})
#: What a step names that is about no case.
_WITHOUT_CASE = {"report_stock": "sku", "erase_personal_data": "order_id"}
_NOT_A_STEP = (
    "record_order",
    *("import_bill", "save_mapping", "reconcile", "assign_discrepancy", "prepare_period", "close_period"),
    *("propose_correction", "approve_correction", "decline_correction"),
)
_PAYOUT_FIELDS = ("case", "kind", "amount_fen", "status")
_PROMISES = ("kept", "broken")


class Mistake(msgspec.Struct, frozen=True):
    """One thing wrong in a file: the number of the step (from 1, else 0), the field, and what to mend."""

    step: int
    field: str
    zh: str
    en: str

    @property
    def where(self) -> str:
        """The place as a person would look for it."""
        return f"step {self.step}, {self.field}" if self.step else self.field


class ScenarioInvalid(Exception):
    """A file that cannot be played; `mistakes` has all of them."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__("; ".join(f"{mistake.where}: {mistake.en}" for mistake in mistakes))
        self.mistakes = mistakes


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step. `fields` is the body of the command as it was written, times as RFC 3339 text.

    `case` and `save` are labels, "" where there is none. `refused` is the code it must be refused with.
    `if_version`: the version that the case's file must have (sent as If-Match), an addition of ours.
    """

    number: int
    do: str
    actor: Actor | None = None
    case: str = ""
    at: datetime | None = None
    save: str = ""
    refused: str = ""
    if_version: int | None = None
    until: datetime | None = None
    times: int = 1
    fields: dict[str, Any] = {}

    @property
    def set_time(self) -> datetime | None:
        """The time that the step says, if it says one."""
        return self.until or self.at

    @property
    def name(self) -> str:
        """How results call it."""
        return f"step {self.number} {self.do}"


class Order(msgspec.Struct, frozen=True):
    """An order to record; `latest` is the latest time it speaks of."""

    order_id: str
    latest: datetime | None
    body: dict[str, Any]


class Expect(msgspec.Struct, frozen=True, kw_only=True):
    """What must hold at the end. What is None was not listed and is not compared."""

    cases: dict[str, dict[str, Any]] = {}
    settlements: dict[str, dict[str, Any]] = {}
    payouts: list[dict[str, Any]] | None = None
    losses: dict[str, int] | None = None
    suspense_fen: int | None = None
    recovered: dict[str, int] = {}
    events: dict[str, list[str]] = {}


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """A file that can be played."""

    scenario: str
    title: str
    orders: list[Order]
    steps: list[Step]
    expect: Expect
    policy: dict[str, Any] = {}
    outcomes: list[str] = []
    stock: dict[str, int] = {}


def load_scenario(path: Path) -> Scenario:
    """The scenario in a file.

    OSError when it cannot be read, `ScenarioInvalid` when it says something wrong.
    """
    return parse_scenario(path.read_bytes())


def parse_scenario(text: bytes | str) -> Scenario:
    """The scenario in a YAML text. Raises `ScenarioInvalid`."""
    try:
        data = _unique_keys(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise ScenarioInvalid(
            [Mistake(0, f"line {line}", f"不是有效的 YAML:{error}", f"is not valid YAML: {error}")]
        ) from error
    except ValueError as error:  # a date such as 2026-13-40
        raise ScenarioInvalid(
            [Mistake(0, "file", f"含有无法理解的值:{error}", f"holds a value that makes no sense: {error}")]
        ) from error
    reader = _Reader()
    scenario = reader.scenario(data)
    if reader.mistakes:
        raise ScenarioInvalid(reader.mistakes)
    return scenario


class _UniqueKeys(yaml.CSafeLoader):
    """Refuses a key that is written twice: YAML would keep the last one without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for place, key in enumerate(keys):
            if key.value in [earlier.value for earlier in keys[:place]]:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is written twice", key.start_mark
                )
        return super().construct_mapping(node, deep)


def _unique_keys(text: bytes | str) -> Any:
    loader = _UniqueKeys(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


@cache
def _known() -> Policy:
    return load_policy()


class _Reader:
    """Reads plain data into a scenario and notes what is wrong with it; `step` is the one being read."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []
        self._step = 0

    def _note(self, field: str, zh: str, en: str) -> None:
        self.mistakes.append(Mistake(self._step, field, zh, en))

    # -- the parts of a file

    def scenario(self, data: Any) -> Scenario:
        top = self._mapping("file", data)
        self._only("", top, _TOP_KEYS)
        for key in _REQUIRED:
            if key not in top:
                self._note(key, "缺少", "is missing")
        steps = [self._read_step(number, raw) for number, raw in enumerate(self._list("steps", top), start=1)]
        self._step = 0
        return Scenario(
            scenario=self._text("scenario", top),
            title=self._text("title", top),
            policy=self._policy(top),
            outcomes=self._outcomes(top),
            stock=self._amounts("stock", top.get("stock", {}), least=0),
            orders=[self._order(place, raw) for place, raw in enumerate(self._list("orders", top))],
            steps=steps,
            expect=self._expect(top, {step.case for step in steps if step.do == "open_case"}),
        )

    def _policy(self, top: dict[str, Any]) -> dict[str, Any]:
        override = self._mapping("policy", top.get("policy", {}))
        try:
            load_policy(override)
        except PolicyInvalid as error:
            for mistake in error.mistakes:
                self._note(f"policy.{mistake.path}", mistake.message.zh, mistake.message.en)
        return override

    def _outcomes(self, top: dict[str, Any]) -> list[str]:
        gateway = self._mapping("gateway", top.get("gateway", {}))
        self._only("gateway", gateway, ("outcomes",))
        outcomes = self._list("outcomes", gateway, "gateway.outcomes")
        for outcome in outcomes:
            self._one_of("gateway.outcomes", outcome, OUTCOMES)
        return outcomes

    def _order(self, place: int, raw: Any) -> Order:
        field = f"orders[{place}]"
        body = self._mapping(field, raw)
        order_id = body.get("order_id")
        if not isinstance(order_id, str) or not order_id:
            self._note(f"{field}.order_id", "应为文字(数字请加引号)", "must be text (quote a number)")
        times = [self._time(f"{field}.{key}", body[key]) for key in ("ordered_at", "delivered_at") if body.get(key)]
        return Order(str(order_id), max((time for time in times if time), default=None), _plain(body))

    # -- steps

    def _read_step(self, number: int, raw: Any) -> Step:
        self._step = number
        fields = self._mapping("step", raw)
        do = fields.get("do")
        if isinstance(do, str) and do in DIRECTIONS:
            return self._direction(number, do, fields)
        if not isinstance(do, str) or do not in _known().texts.commands or do in _NOT_A_STEP:
            self._note("do", f"没有命令 {do!r}", f"there is no command {do!r}")
        self._case_given(str(do), fields)
        body = {key: value for key, value in fields.items() if key not in _OWN_FIELDS}
        self._file_given(body.get("file"))
        return Step(
            number=number,
            do=str(do),
            actor=self._actor(fields.get("as")),
            case=self._text("case", fields, optional=True),
            at=self._time("at", fields["at"]) if "at" in fields else None,
            save=self._text("save", fields, optional=True),
            refused=self._refused(fields),
            if_version=self._count("if_version", fields, None),
            fields=_plain(body),
        )

    def _direction(self, number: int, do: str, fields: dict[str, Any]) -> Step:
        allowed, required = DIRECTIONS[do]
        self._only("", fields, ("do", *sorted(allowed)))
        for key in required - fields.keys():
            self._note(key, "缺少", "is missing")
        return Step(
            number=number,
            do=do,
            at=self._time("at", fields["at"]) if "at" in fields else None,
            until=self._time("until", fields["until"]) if "until" in fields else None,
            times=self._count("times", fields, 1) or 1,
        )

    def _case_given(self, do: str, fields: dict[str, Any]) -> None:
        needed = _WITHOUT_CASE.get(do, "case")
        if do != "open_case" and needed not in fields:
            self._note(needed, "缺少", "is missing")

    def _file_given(self, file: Any) -> None:
        if not isinstance(file, dict):
            return
        self._only("file", file, ("generate",))
        self._one_of("file.generate", file.get("generate"), GENERATED)

    def _actor(self, given: Any) -> Actor | None:
        try:
            actor = Actor.parse(str(given))
            if actor.role in ROLES:
                return actor
        except ValueError:
            pass
        roles = ", ".join(ROLES)
        self._note("as", f"应为 角色/姓名,角色:{roles}", f"must be role/name; roles: {roles}")
        return None

    def _refused(self, fields: dict[str, Any]) -> str:
        code = self._text("refused", fields, optional=True)
        if code:
            self._one_of("refused", code, _known().texts.refusals)
        return code

    # -- expectations

    def _expect(self, top: dict[str, Any], labels: set[str]) -> Expect:
        expect = self._mapping("expect", top.get("expect", {}))
        self._only("expect", expect, Expect.__struct_fields__)
        return Expect(
            cases=self._by_case(expect, "cases", labels, self._case_fields),
            settlements=self._by_case(expect, "settlements", labels, self._settlement_fields),
            payouts=self._payouts(expect, labels) if "payouts" in expect else None,
            losses=self._amounts("expect.losses", expect["losses"]) if "losses" in expect else None,
            suspense_fen=self._whole("expect.suspense_fen", expect["suspense_fen"])
            if "suspense_fen" in expect
            else None,
            recovered=self._amounts("expect.recovered", expect.get("recovered", {})),
            events=self._by_case(expect, "events", labels, self._event_types),
        )

    def _by_case(
        self, expect: dict[str, Any], key: str, labels: set[str], read: Callable[[str, Any], Any]
    ) -> dict[str, Any]:
        by_case = self._mapping(f"expect.{key}", expect.get(key, {}))
        for label in by_case:
            self._label(f"expect.{key}", label, labels)
        return {str(label): read(f"expect.{key}.{label}", value) for label, value in by_case.items()}

    def _case_fields(self, field: str, raw: Any) -> dict[str, Any]:
        fields = self._mapping(field, raw)
        if "promise" in fields:
            self._one_of(f"{field}.promise", fields["promise"], _PROMISES)
        return fields

    def _settlement_fields(self, field: str, raw: Any) -> dict[str, Any]:
        fields = self._mapping(field, raw)
        self._only(field, fields, Settlement.__struct_fields__)
        for key, value in fields.items():
            if key != "freight_pending":
                self._whole(f"{field}.{key}", value)
            elif not isinstance(value, bool):
                self._note(f"{field}.{key}", "应为 true 或 false", "must be true or false")
        return fields

    def _event_types(self, field: str, raw: Any) -> list[str]:
        types = self._list("", {"": raw}, field)
        for type_ in types:
            self._one_of(field, type_, EVENT_TYPES)
        return types

    def _payouts(self, expect: dict[str, Any], labels: set[str]) -> list[dict[str, Any]]:
        payouts = []
        for place, raw in enumerate(self._list("payouts", expect, "expect.payouts")):
            field = f"expect.payouts[{place}]"
            payout = self._mapping(field, raw)
            self._only(field, payout, _PAYOUT_FIELDS)
            if "case" in payout:
                self._label(field, payout["case"], labels)
            if "amount_fen" in payout:
                self._whole(f"{field}.amount_fen", payout["amount_fen"])
            payouts.append(payout)
        return payouts

    def _label(self, field: str, label: Any, labels: set[str]) -> None:
        if label not in labels:
            self._note(field, f"没有步骤打开售后单 {label!r}", f"no step opens a case {label!r}")

    # -- values

    def _mapping(self, field: str, raw: Any) -> dict[str, Any]:
        if isinstance(raw, dict):
            return raw
        self._note(field, "应为键值表", "must be a mapping")
        return {}

    def _list(self, key: str, fields: dict[str, Any], field: str = "") -> list[Any]:
        raw = fields.get(key, [])
        if isinstance(raw, list):
            return raw
        self._note(field or key, "应为列表", "must be a list")
        return []

    def _only(self, field: str, fields: dict[str, Any], allowed: tuple[str, ...]) -> None:
        for key in fields:
            if key not in allowed:
                name = f"{field}.{key}" if field else str(key)
                known = ", ".join(allowed)
                self._note(name, f"未知字段,可用:{known}", f"is not a field here; there are: {known}")

    def _text(self, key: str, fields: dict[str, Any], optional: bool = False) -> str:
        value = fields.get(key, "")
        if isinstance(value, str) and (value or optional or key not in fields):
            return value
        self._note(key, "应为文字(数字请加引号)", "must be text (quote a number)")
        return ""

    def _one_of(self, field: str, value: Any, known: Any) -> None:
        if not isinstance(value, str) or value not in known:
            self._note(field, f"没有 {value!r}", f"there is no {value!r}")

    def _whole(self, field: str, value: Any, least: int | None = None) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            self._note(field, "应为整数(金额以分计)", "must be a whole number (amounts in fen)")
            return 0
        if least is not None and value < least:
            self._note(field, f"不能小于 {least}", f"must not be below {least}")
        return value

    def _count(self, key: str, fields: dict[str, Any], default: int | None) -> int | None:
        return self._whole(key, fields[key], least=1) if key in fields else default

    def _amounts(self, field: str, raw: Any, least: int | None = None) -> dict[str, int]:
        return {
            str(key): self._whole(f"{field}.{key}", value, least) for key, value in self._mapping(field, raw).items()
        }

    def _time(self, field: str, value: Any) -> datetime | None:
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                value = None
        if isinstance(value, datetime) and value.tzinfo is not None:
            return value
        example = "2026-10-05T10:00:00+08:00"
        self._note(field, f"应为带时区的时间,如 {example}", f"must be a time with its offset, such as {example}")
        return None


#: Fields that hold numbers which are names: whoever leaves out the quotes means the text.
_NUMBERS = frozenset({"tracking_no", "payment_ref", "channel_ref", "channel_refund_id", "order_id", "sku", "buyer_id"})


def _plain(value: Any) -> Any:
    """The value as JSON can carry it: YAML's times become RFC 3339 text again, all else stays as written."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, dict):
        return {
            str(key): str(item) if key in _NUMBERS and type(item) is int else _plain(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def scenario_files(paths: list[Path]) -> Iterator[Path]:
    """The files that are meant: those named, and all `*.yaml` of each folder named, in order of names.

    Raises FileNotFoundError for a path that does not exist or a folder without scenarios.
    """
    for path in paths:
        if not path.is_dir():
            if not path.exists():
                raise FileNotFoundError(path)
            yield path
            continue
        inside = sorted(path.glob("*.yaml"))
        if not inside:
            raise FileNotFoundError(path / "*.yaml")
        yield from inside
