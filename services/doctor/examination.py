"""One examination: all checks, service by service, and what they came to."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from contracts.policy import Policy, Text
from services.catalogue import SERVICES
from services.doctor import ways
from services.doctor.checks import Check
from services.doctor.finding import Finding, NotCompared, Note, Outcome, Report, Wrong
from services.doctor.look import Look, Shop
from services.doctor.topics import Unanswered
from services.kernel.clock import Clock
from services.kernel.event_store import CorruptRecord
from services.kernel.kafka.connection import BrokerAway, BrokerRefused
from services.kernel.long_work import Tell, told_nobody
from services.kernel.settings import Settings
from services.refunds.bootstrap import make_gateway

#: Findings of one check in one service that are told one by one; more are counted.
TOLD_MOST: Final = 100


@asynccontextmanager
async def shop_of(settings: Settings, policy: Policy, clock: Clock) -> AsyncIterator[Shop]:
    """The services' databases and the provider, as the settings name them; let go of in the end."""
    async with AsyncExitStack() as ending:
        settings = ending.enter_context(settings.for_reading())
        assemblies = {name: make(settings, policy, clock) for name, make in SERVICES.items()}
        for one in assemblies.values():
            ending.push_async_callback(one.closed)
            ending.push_async_callback(one.service.close)
        gateway = make_gateway(settings)
        ending.push_async_callback(gateway.close)
        services = {name: one.service for name, one in assemblies.items()}
        yield Shop(
            settings,
            {name: one.part for name, one in services.items()},
            {name: one.store for name, one in services.items()},
            gateway,
            clock.now(),
        )


async def examine(
    shop: Shop, checks: Sequence[Check], services: Sequence[str] = tuple(SERVICES), tell: Tell = told_nobody
) -> Report:
    """Make these checks in these services. Nothing is changed, and nobody at work is held up.

    `tell` is awaited with the records read so far and in all. Raises `StoreUnavailable`, `CalledOff`.
    """
    brokers = bool(shop.settings.kafka_servers)
    possible = [check for check in checks if brokers or not check.needs_broker]
    rounds = [(check, name) for check in possible for name in services if name in check.services]
    extent = {name: await shop.stores[name].head_position() for name in services}
    total, before = sum(extent[name] for _, name in rounds), 0
    report = Report()
    for check, name in rounds:
        read = _Counter(before, extent[name], total, tell)
        async with shop.stores[name].snapshot() as reads:
            await _make(check, Look(name, reads, shop, read), report)
        before += extent[name]
        await tell(before, total)
    return report


class _Counter:
    """Tells how far one check came, among all."""

    def __init__(self, before: int, most: int, total: int, tell: Tell) -> None:
        self._before = before
        self._most = most
        self._total = total
        self._tell = tell
        self._read = 0

    async def __call__(self, records: int) -> None:
        self._read = min(self._read + records, self._most)  # the log may have got longer meanwhile
        await self._tell(self._before + self._read, self._total)


async def _make(check: Check, look: Look, report: Report) -> None:
    found = 0
    try:
        async for said in check.run(look):
            if isinstance(said, Note):
                report.not_compared.append(_note(check, look, said))
                continue
            found += 1
            if found <= TOLD_MOST:
                report.findings.append(_finding(check, look, said))
    except (BrokerAway, BrokerRefused, Unanswered) as error:
        found += 1
        report.findings.append(_finding(check, look, _unasked(look, error)))
    except CorruptRecord as error:
        found += 1
        report.findings.append(_finding(check, look, _unread(look, error)))
    report.outcomes.append(Outcome(check=check.name, service=look.name, findings=found))
    report.sound = report.sound and not found


def _finding(check: Check, look: Look, wrong: Wrong) -> Finding:
    return Finding(
        check=check.name,
        service=look.name,
        where=wrong.where,
        what=wrong.what,
        expected=wrong.expected,
        found=wrong.found,
        mend=wrong.way.command,
        way_out=wrong.way.text,
    )


def _note(check: Check, look: Look, note: Note) -> NotCompared:
    return NotCompared(check=check.name, service=look.name, where=note.where, what=note.what)


def _unread(look: Look, error: CorruptRecord) -> Wrong:
    """A record cannot be read at all, so the check ended there."""
    what = Text(zh="这条记录读不出来,这项检查到此为止", en="this record cannot be read, the check ended here")
    return Wrong(f"{error.stream}#{error.version}", what, "", error.reason, ways.restore(look.name))


def _unasked(look: Look, error: Exception) -> Wrong:
    """The brokers could not be asked, so the check was not made."""
    what = Text(zh="连不上 Kafka,这项没有检查完", en="Kafka could not be asked, this check was not finished")
    return Wrong(look.shop.settings.kafka_servers, what, "", str(error), ways.brokers())
