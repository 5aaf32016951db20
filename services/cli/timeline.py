"""What happened in a case, as a table: when, how long after, who, what."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from services.kernel.shop_time import SHOP_TIME
from services.wording.facts import said
from services.wording.words import Words


def timeline(words: Words, entries: Sequence[Mapping[str, Any]]) -> Table:
    """The timeline of a case, in the order in which it happened; what the system did by itself is dim."""
    table = Table(title=words.say("经过", "Timeline"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(words.say("时间", "when"), justify="right", no_wrap=True)
    table.add_column(words.say("间隔", "after"), justify="right", no_wrap=True)
    for zh, en in (("谁", "who"), ("什么", "what"), ("说明", "details")):
        table.add_column(words.say(zh, en), overflow="fold")
    before: datetime | None = None
    for entry in entries:
        time = datetime.fromisoformat(entry["time"]).astimezone(SHOP_TIME)
        same_day = before is not None and before.date() == time.date()
        table.add_row(
            time.strftime("%H:%M:%S" if same_day else "%Y-%m-%d %H:%M:%S"),
            "" if before is None else words_for(words, time - before),
            escape(words.actor(entry["actor"])),
            escape(words.event(entry["type"])),
            escape(said(words, entry["data"])),
            style="dim" if entry["actor"].startswith("system/") else "",
        )
        before = time
    return table


def words_for(words: Words, gap: timedelta) -> str:
    """How long something took, in its two largest units; nothing under a second, or where a clock went back."""
    seconds = max(0, int(gap.total_seconds()))
    units = ((86_400, "天", "d"), (3_600, "小时", "h"), (60, "分", "min"), (1, "秒", "s"))
    parts = []
    for size, zh, en in units:
        count, seconds = divmod(seconds, size)
        if count > 0:
            parts.append(f"{count} {zh if words.language == 'zh' else en}")
    return " ".join(parts[:2])
