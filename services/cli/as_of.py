"""Moments in the past: how a command takes one, and how it is told which one a document is of."""

from collections.abc import Mapping
from typing import Any

import typer
from rich.console import Console

from services.wording.past import as_of
from services.wording.words import Words

#: What a moment in the past is written like.
POINT = "A position of the log, a time with offset, or a day (its end). 日志位置、带时区的时间或日期(当天结束时)。"
AsOfPoint = typer.Option("--as-of", help=f"As it was then. {POINT}", show_default=False)


def show_as_of(console: Console, words: Words, document: Mapping[str, Any]) -> None:
    """Above a document that is not of now: of when it is."""
    if document["as_of"]:
        console.print(f"{words.say('截至', 'as of')} {as_of(words, document['as_of'])}", markup=False)
