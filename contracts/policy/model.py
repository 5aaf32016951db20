"""What a policy says, as frozen structs; their fields are the keys of the YAML files and of an override."""

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from itertools import cycle
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

Code = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*$")]
Wording = Annotated[str, Meta(min_length=1)]
Fen = Annotated[int, Meta(ge=0)]
Hours = Annotated[int, Meta(ge=1)]

_PLACE = re.compile(r"\{(\w+)\}")
_OPTIONAL = re.compile(r"\[([^\[\]]*\{\w+\}[^\[\]]*)\]")
_NOTHING: tuple[Any, ...] = (None, "", [], ())
_UNSAID = "…"


@lru_cache(maxsize=1024)
def _parts(message: str) -> tuple[tuple[bool, list[str]], ...]:
    """A message in parts: whether each may be left out, and its texts with the names of places between them.

    Kept, because a case's next actions word some forty refusals at every read.
    """
    return tuple((optional == 1, _PLACE.split(part)) for optional, part in zip(cycle((0, 1)), _OPTIONAL.split(message)))


class Group(StrEnum):
    """The groups in which a shop sorts after-sales problems (domain.md §2)."""

    INSTALLATION = "installation"
    RECEIVING = "receiving"
    USAGE = "usage"
    CONCERN = "concern"
    RETURN = "return"


class Remedy(StrEnum):
    """Everything a shop can do for a buyer (domain.md §2); a problem allows some of them."""

    GUIDE = "guide"
    COMPENSATE = "compensate"
    CONTACT_INSTALLER = "contact_installer"
    TRACE_PARCEL = "trace_parcel"
    ARRANGE_PICKUP = "arrange_pickup"
    REPORT = "report"
    RESHIP = "reship"
    RETURN = "return"
    EXCHANGE = "exchange"
    REFUND = "refund"
    REFUND_SERVICE_LINE = "refund_service_line"
    SELL_ACCESSORY = "sell_accessory"
    DISCOUNTED_EXCHANGE = "discounted_exchange"


class Text(Struct, frozen=True, forbid_unknown_fields=True):
    """One text for people, in both languages."""

    zh: Wording
    en: Wording


class Problem(Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of complaint and how the shop handles it (domain.md §2)."""

    group: Group
    name: Text
    remedies: tuple[Remedy, ...]
    evidence: bool = False
    """Accepted evidence is needed before any compensation, reshipment or return (the mark E)."""
    steps: tuple[Text, ...] = ()
    """What the shop does, in order."""
    questions: tuple[Text, ...] = ()
    """What the agent asks the buyer."""
    phrases: tuple[Text, ...] = ()
    """Ready phrases (快捷短语) to send; `__` stands for what the agent fills in."""


class Party(Struct, frozen=True, forbid_unknown_fields=True):
    """Someone who may bear a loss (domain.md §5)."""

    name: Text
    named: bool = False
    """It is written with a name behind it, as in `courier/YTO`."""
    external: bool = False
    """It is outside the business, so a claim can be collected from it."""


class Cause(Struct, frozen=True, forbid_unknown_fields=True):
    """Why something went wrong, and thereby who bears the loss (domain.md §5)."""

    name: Text
    party: Code
    named: bool
    """The party needs a name; where the data do not say, as its party has it."""
    freight: Literal["buyer", "merchant"] = "merchant"
    """Who bears the return freight (domain.md §3)."""


class Authority(Struct, frozen=True, forbid_unknown_fields=True):
    """Limits in fen: on the compensation of one order by role, and on the good-review rewards of one case."""

    agent: Fen
    team_lead: Fen
    store_manager: Fen
    good_review_reward: Fen

    def limit(self, role: str) -> int:
        """What a role may give, in fen: at least what every role below it may (domain.md §3 Roles)."""
        ladder = {"agent": self.agent, "team_lead": self.team_lead, "store_manager": self.store_manager}
        roles = list(ladder)
        return max(ladder[lower] for lower in roles[: roles.index(role) + 1])


class Promise(Struct, frozen=True, forbid_unknown_fields=True):
    """Within how many hours of opening a case the buyer gets an answer and a solution (domain.md §3)."""

    first_answer_hours: Hours
    solution_hours: Hours


class Texts(Struct, frozen=True, forbid_unknown_fields=True):
    """What codes are called and what refusals say; a shop may reword each, but not add one."""

    groups: Mapping[str, Text]
    remedies: Mapping[str, Text]
    commands: Mapping[str, Text]
    events: Mapping[str, Text]
    terms: Mapping[str, Text]
    """Roles, kinds, triggers, statuses, and what can keep a case from closing."""
    refusals: Mapping[str, Text]
    """Messages with places such as `{limit_fen}`; see `Policy.refusal_text`."""


class Policy(Struct, frozen=True, forbid_unknown_fields=True):
    """All rules of a shop that are data, in force under one version."""

    version: str
    """The version of the data, `+`, and eight hex digits of the SHA-256 of the whole content."""
    authority: Authority
    promise: Promise
    deposit_fen: Fen
    refused_carriers: tuple[Wording, ...]
    return_reasons: Mapping[Code, Text]
    problems: Mapping[Code, Problem]
    causes: Mapping[Code, Cause]
    parties: Mapping[Code, Party]
    texts: Texts

    def refusal_text(self, code: str, params: Mapping[str, Any]) -> Text:
        """Say in both languages what a refusal means and what helps.

        The values of `problem`, `cause`, `party`, `remedy`, `command`, `role`, `actor`, `kind`, `trigger`,
        `status`, `state` and `open` are codes, shown by their names (`courier/YTO` as 快递 YTO); lists are
        joined; whole numbers of params ending `_fen` are shown in yuan. A missing param never fails: the
        part of the message in square brackets that needs it is left out; elsewhere it shows as an ellipsis.
        KeyError for an unknown code.
        """
        message = self.texts.refusals[code]
        return Text(zh=self._fill(message.zh, params, "zh"), en=self._fill(message.en, params, "en"))

    def _fill(self, message: str, params: Mapping[str, Any], language: Literal["zh", "en"]) -> str:
        said: list[str] = []
        for optional, parts in _parts(message):
            if optional and any(params.get(name) in _NOTHING for name in parts[1::2]):
                continue
            said += (
                self._shown(part, params.get(part), language) if place % 2 else part for place, part in enumerate(parts)
            )
        return "".join(said)

    def _shown(self, param: str, value: Any, language: Literal["zh", "en"]) -> str:
        if value in _NOTHING:
            return _UNSAID
        if isinstance(value, Text):
            return value.zh if language == "zh" else value.en
        if isinstance(value, (list, tuple, set, frozenset)):
            items = sorted(value, key=str) if isinstance(value, (set, frozenset)) else value
            comma = "、" if language == "zh" else ", "
            return comma.join(self._shown(param, item, language) for item in items)
        if param.endswith("_fen") and isinstance(value, int):
            return f"{'-' if value < 0 else ''}{abs(value) // 100}.{abs(value) % 100:02d}"
        code, _, rest = str(value).partition("/")
        name = self._name(param, code)
        if name is None:
            return str(value)
        return f"{name.zh if language == 'zh' else name.en} {rest}".rstrip()

    def _name(self, param: str, code: str) -> Text | None:
        things: Mapping[str, Mapping[str, Problem | Cause | Party]]
        things = {"problem": self.problems, "cause": self.causes, "party": self.parties}
        if param in things:
            thing = things[param].get(code)
            return thing.name if thing else None
        match param:
            case "remedy":
                return self.texts.remedies.get(code)
            case "command":
                return self.texts.commands.get(code)
            case "role" | "actor" | "kind" | "trigger" | "status" | "state" | "open":
                return self.texts.terms.get(code)
            case _:
                return None
