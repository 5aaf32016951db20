"""`what_if`: history decided again by other rules, in the background and in memory."""

import asyncio
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from contracts.policy import Policy, PolicyInvalid, load_policy, load_policy_text
from services.kernel.clock import clock_seen
from services.kernel.fields import Code, OrderId, Reference
from services.kernel.long_work import Tell
from services.kernel.whole_file import put
from services.logs import logs_to_read
from services.operations.kind import NAMED, Options, Work
from services.policy import policy_in_force
from services.whatif.run import TOLD_MOST, Question, what_if


class WhatIf(Options, frozen=True, kw_only=True):
    """History decided again by other rules; the whole report is the file of the operation."""

    policy: Annotated[
        dict[str, Any] | str,
        Meta(
            description="What is otherwise than in the policy that the system comes with, as in a shop's policy file:"
            " an object, or the text of such a file (YAML)"
        ),
    ]
    begin: Annotated[
        Reference,
        Meta(description="Decisions from here on: a position of the log of cases, a day, or a time with offset"),
    ] = ""
    end: Annotated[
        Reference,
        Meta(description="Decisions up to here: a position of the log of cases, a day, or a time with offset"),
    ] = ""
    order: Annotated[OrderId | None, Meta(description="This order only")] = None
    case: Annotated[Code | None, Meta(description="This case only")] = None
    most: Annotated[
        int, Meta(ge=0, le=1_000_000, description="Cases to tell one by one, those that differ the most; 0: all")
    ] = TOLD_MOST

    def mistakes(self, service: str) -> Iterator[tuple[str, str, str, str]]:
        try:
            self.rules()
        except PolicyInvalid as invalid:
            for mistake in invalid.mistakes:
                zh, en = mistake.message.zh, mistake.message.en
                if mistake.place:
                    zh, en = f"第 {mistake.place.line} 行:{zh}", f"line {mistake.place.line}: {en}"
                field = "policy" if mistake.path == "policy" else f"policy.{mistake.path}"
                yield field, "policy", zh, en

    def rules(self) -> Policy:
        """The policy to decide by. Raises `PolicyInvalid`."""
        return load_policy_text(self.policy) if isinstance(self.policy, str) else load_policy(self.policy)


async def ask(work: Work, options: WhatIf, tell: Tell) -> dict[str, Any]:
    """Decide again. The whole report is the file of the operation; nothing else is written."""
    settings = work.settings
    question = Question(
        policy=options.rules(),
        in_force=policy_in_force(settings),
        begin=options.begin,
        end=options.end,
        order=options.order or "",
        case=options.case or "",
        most=options.most,
    )
    async with logs_to_read(settings) as logs:
        report = await what_if(logs, question, clock_seen(settings).now(), tell)
    file = work.file("json")
    await asyncio.to_thread(put, file, msgspec.json.encode(report))
    return {
        "file": file.name,
        "policy": report.policy,
        "orders": report.orders,
        "cases": report.cases,
        "cases_that_differ": report.cases_that_differ,
        "net": msgspec.to_builtins(report.net),
        "parties": msgspec.to_builtins(report.parties[:NAMED]),
    }
