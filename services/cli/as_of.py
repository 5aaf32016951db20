"""Moments in the past: how a command takes one, and how it is told which one a document is of."""

from collections.abc import Mapping
from typing import Any

import typer
from rich.console import Console

from services.cli.facts import moment
from services.cli.words import Words

#: What a moment in the past is written like.
POINT = "A position of the log, a time with offset, or a day (its end). 日志位置、带时区的时间或日期(当天结束时)。"
AsOfPoint = typer.Option("--as-of", help=f"As it was then. {POINT}", show_default=False)


def asked_for(told_of: Mapping[str, Any]) -> tuple[str, str]:
    """What was asked for, zh and en: a position, a day or time as it was written, or now."""
    asked = told_of["asked"]
    if not asked:
        return "现在", "now"
    return (f"位置 {asked}", f"position {asked}") if asked.isdecimal() else (asked, asked)


def show_as_of(console: Console, words: Words, document: Mapping[str, Any]) -> None:
    """Above a document that is not of now: of when it is."""
    if document["as_of"]:
        console.print(f"{words.say('截至', 'as of')} {as_of(words, document['as_of'])}", markup=False)


def as_of(words: Words, told_of: Mapping[str, Any]) -> str:
    """Of when a document is: what was asked for, and the last event that counts."""
    asked = words.say(*asked_for(told_of))
    if told_of["time"] is None:
        return f"{asked} · {words.say('此前没有事件', 'nothing had happened')}"
    place = words.say(f"位置 {told_of['position']}", f"position {told_of['position']}")
    return f"{asked} · {words.say('最后事件', 'last event')} {moment(told_of['time'])}, {place}"
