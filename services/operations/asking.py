"""`what_if`: history decided again by other rules, in the background and in memory."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Annotated, Any, Final

import msgspec

from contracts.policy import PolicyInvalid, load_policy
from contracts.registry import decode
from services.histories import Logs
from services.kernel.clock import clock_seen
from services.kernel.event_store import Reads
from services.kernel.fields import Code, OrderId, Reference
from services.kernel.long_work import Tell
from services.kernel.settings import Settings
from services.kernel.stores import open_store
from services.kernel.whole_file import put
from services.operations.kind import NAMED, Options, Work
from services.policy import policy_in_force
from services.whatif.run import TOLD_MOST, Question, what_if

#: Whose logs are read, in the order in which they are opened.
_READ: Final = ("cases", "refunds", "liability")


class WhatIf(Options, frozen=True, kw_only=True):
    """`policy`: what is otherwise than in the policy that the system comes with, as in a shop's policy file. `begin`
    and `end`: positions of the log of cases, days or times. `most`: cases to be told one by one, 0 for all."""

    policy: dict[str, Any]
    begin: Reference = ""
    end: Reference = ""
    order: OrderId | None = None
    case: Code | None = None
    most: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = TOLD_MOST

    def mistakes(self, service: str) -> Iterator[tuple[str, str, str, str]]:
        try:
            load_policy(self.policy)
        except PolicyInvalid as invalid:
            for mistake in invalid.mistakes:
                yield f"policy.{mistake.path}", "policy", mistake.message.zh, mistake.message.en


async def ask(work: Work, options: WhatIf, tell: Tell) -> dict[str, Any]:
    """Decide again. The whole report is the file of the operation; nothing else is written."""
    settings = work.settings
    question = Question(
        policy=load_policy(options.policy),
        in_force=policy_in_force(settings),
        begin=options.begin,
        end=options.end,
        order=options.order or "",
        case=options.case or "",
        most=options.most,
    )
    async with AsyncExitStack() as held:
        logs = [_opened(held, settings, name) for name in _READ]
        report = await what_if(Logs(*logs), question, clock_seen(settings).now(), tell)
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


def _opened(held: AsyncExitStack, settings: Settings, service: str) -> Reads:
    """The log of a service, in a way in which its database takes no write."""
    store = open_store(settings.database_of(service), decode, readers=1, read_only=True)
    held.push_async_callback(store.close)
    return store
