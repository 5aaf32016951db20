"""What things are called on paper: in Chinese, in English, or in both where nobody said which."""

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from contracts.policy import Policy, Text

_HOUR: Final = 3_600
#: Seconds, and what so many of them are called.
_UNITS: Final = ((86_400, "天", "d"), (_HOUR, "小时", "h"), (60, "分", "min"), (1, "秒", "s"))


def plural(number: int, thing: str) -> str:
    """So many of something in English: `1 message`, `2 messages`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


class Language(StrEnum):
    """What a reader reads."""

    ZH = "zh"
    EN = "en"
    BOTH = "both"


def usual_language(environ: Mapping[str, str]) -> Language:
    """What the locale of an environment asks for; both where it asks for neither."""
    locale = environ.get("LC_ALL") or environ.get("LC_MESSAGES") or environ.get("LANG") or ""
    return {"zh": Language.ZH, "en": Language.EN}.get(locale[:2].lower(), Language.BOTH)


class Words:
    """The names of codes, by the policy in force. A code that it does not know is shown as it is."""

    def __init__(self, policy: Policy, language: Language) -> None:
        self._policy = policy
        self.language = language

    def say(self, zh: str, en: str) -> str:
        """A text in the reader's language."""
        match self.language:
            case Language.ZH:
                return zh
            case Language.EN:
                return en
            case _:
                return f"{zh} {en}" if zh != en else zh

    def stacked(self, zh: str, en: str) -> str:
        """A text in the reader's language; where it is both, one above the other."""
        return f"{zh}\n{en}" if self.language is Language.BOTH and zh != en else self.say(zh, en)

    def roughly(self, seconds: float) -> str:
        """How long something takes, in its largest unit: `12 min`, `2.5 小时`."""
        if seconds < 1:
            return f"< 1 {self._unit('秒', 's')}"
        size, zh, en = next(unit for unit in _UNITS if seconds >= unit[0])
        number = seconds / size
        digits = 1 if number < 10 and size >= _HOUR else 0
        return f"{math.floor(number * 10**digits) / 10**digits:.{digits}f} {self._unit(zh, en)}"

    def text(self, text: Text) -> str:
        """A text of the policy."""
        return self.say(text.zh, text.en)

    @property
    def comma(self) -> str:
        """What stands between the items of a list."""
        return "、" if self.language is Language.ZH else ", "

    def term(self, code: str) -> str:
        """A role, kind, trigger or state."""
        return self._of(self._policy.texts.terms, code)

    def reason(self, code: str) -> str:
        """Why something came back or failed, where that is a code; what somebody wrote stays as it is."""
        known = self._policy.return_reasons.get(code)
        return self.text(known) if known else self.term(code)

    def event(self, type_: str) -> str:
        """What happened."""
        return self._of(self._policy.texts.events, type_)

    def command(self, name: str) -> str:
        """What can be done."""
        return self._of(self._policy.texts.commands, name)

    def problem(self, code: str) -> str:
        """What the buyer complained of."""
        problem = self._policy.problems.get(code)
        return self.text(problem.name) if problem else code

    def cause(self, code: str) -> str:
        """Why it happened."""
        cause = self._policy.causes.get(code)
        return self.text(cause.name) if cause else code

    def party(self, party: str) -> str:
        """Who bears a loss: `courier/YTO` as 快递 YTO."""
        code, _, name = party.partition("/")
        known = self._policy.parties.get(code)
        return f"{self.text(known.name) if known else code} {name}".rstrip()

    def actor(self, actor: str) -> str:
        """Who did something: `agent/小李` as 客服 小李."""
        role, _, name = actor.partition("/")
        if role == "system":
            return self.say("系统", "system")
        return f"{self.term(role)} {name}".rstrip()

    def _unit(self, zh: str, en: str) -> str:
        return zh if self.language is Language.ZH else en

    def _of(self, table: Mapping[str, Text], code: Any) -> str:
        known = table.get(str(code))
        return self.text(known) if known else str(code)
