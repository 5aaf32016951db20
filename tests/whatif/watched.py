"""Scenarios that are looked at in their end, while everything still runs: is their history decided the same again?"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from contracts.policy import Policy, load_policy
from services.histories import History, Logs
from services.kernel.history import the_end
from services.liability.balances import balances
from services.scenarios.instance import EmbeddedInstance, InstanceFactory, Setting, start_embedded
from services.whatif.order import OrderAgain, Rules
from services.whatif.period import Period
from services.whatif.run import Question, what_if

#: What is done with an instance before it ends.
Look = Callable[[EmbeddedInstance], Awaitable[None]]


class _Watched:
    """An instance that is looked at before it ends."""

    def __init__(self, instance: EmbeddedInstance, looks: Sequence[Look]) -> None:
        self._instance = instance
        self._looks = looks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._instance, name)

    async def close(self) -> None:
        try:
            for look in self._looks:
                await look(self._instance)
        finally:
            await self._instance.close()


def watched(*looks: Look) -> InstanceFactory:
    """Embedded instances that are looked at before they end."""

    async def start(setting: Setting) -> Any:
        return _Watched(await start_embedded(setting), looks)

    return start


async def decided_the_same_again(instance: EmbeddedInstance) -> None:
    """Under the policy that was in force, the scratch space has the very history that the logs have: every event that a
    service decided, with its time, in order; and the report says what the balances say, and no difference."""
    stores = {name: one.service.store for name, one in instance._server._running.items()}
    logs = Logs(stores["cases"], stores["refunds"], stores["liability"])
    policy, now = load_policy(instance._policy or None), instance._clock.now()
    for head in await logs.cases.streams():
        await _must_be_the_same(logs, head.stream, policy, instance)
    report = await what_if(logs, Question(policy=policy, in_force=policy, most=0), now)
    assert (report.cases_that_differ, report.keys, report.approvals, report.undecided) == (0, [], [], 0)
    told = await balances(logs.liability, await the_end(logs.liability))
    borne = {one.party: one.charged_fen for one in told.parties if one.charged_fen}
    assert {one.name: one.would_be_fen for one in report.parties if one.name != "suspense"} == borne
    assert report.net.was_fen == report.net.would_be_fen == told.net_fen


async def _must_be_the_same(logs: Logs, stream: str, policy: Policy, instance: EmbeddedInstance) -> None:
    if stream.startswith("~"):
        return
    cases, refunds, liability = [await log.read_stream(stream) for log in (logs.cases, logs.refunds, logs.liability)]
    heard = {source: (await logs.liability.inbox(source, [stream])).get(stream, 0) for source in ("cases", "refunds")}
    history = History(stream, cases, refunds, liability, heard)
    again = OrderAgain(history, Rules.of(policy), Period(), instance._clock.now())
    for source, records, decided in (
        ("cases", cases, again.cases.decided),
        ("refunds", refunds, again.refunds.decided),
        ("liability", liability, again.liability.decided),
    ):
        own = [(record.event, record.time) for record in records if record.source == source]
        assert [(fact.event, fact.time) for fact in decided] == own
