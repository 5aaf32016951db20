"""Moments in the past: of when a document is."""

from collections.abc import Mapping
from typing import Any

from services.wording.facts import moment
from services.wording.words import Words


def asked_for(told_of: Mapping[str, Any]) -> tuple[str, str]:
    """What was asked for, zh and en: a position, a day or time as it was written, or now."""
    asked = told_of["asked"]
    if not asked:
        return "现在", "now"
    return (f"位置 {asked}", f"position {asked}") if asked.isdecimal() else (asked, asked)


def as_of(words: Words, told_of: Mapping[str, Any]) -> str:
    """Of when a document is: what was asked for, and the last event that counts."""
    asked = words.say(*asked_for(told_of))
    if told_of["time"] is None:
        return f"{asked} · {words.say('此前没有事件', 'nothing had happened')}"
    last = f"{asked} · {words.say('最后事件', 'last event')} {moment(told_of['time'])}"
    if told_of["asked"] == str(told_of["position"]):
        return last
    place = words.say(f"位置 {told_of['position']}", f"position {told_of['position']}")
    return f"{last}, {place}"
