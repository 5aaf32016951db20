"""`doctor`: whether logs, topics, checkpoints, read tables, payouts and sums agree, in the background."""

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from services.catalogue import SERVICES
from services.doctor.checks import CHECKS
from services.doctor.examination import examine, shop_of
from services.doctor.finding import Report
from services.kernel.clock import clock_seen
from services.kernel.fields import Word
from services.kernel.long_work import Tell
from services.operations.kind import NAMED, Options, Work
from services.policy import policy_in_force


class Doctor(Options, frozen=True, kw_only=True):
    """Whether logs, topics, checkpoints, read tables, payouts and sums agree."""

    checks: Annotated[tuple[Word, ...], Meta(description="Which checks, by name; all unless named")] = ()
    services: Annotated[
        tuple[Word, ...], Meta(description="Which services are examined; the one it is started on unless named")
    ] = ()

    def mistakes(self, service: str) -> Iterator[tuple[str, str, str, str]]:
        known = {"checks": [check.name for check in CHECKS], "services": list(SERVICES)}
        for field, names in known.items():
            for place, name in enumerate(getattr(self, field)):
                if name not in names:
                    said = ", ".join(names)
                    yield f"{field}[{place}]", "one_of", f"只能是:{said}", f"must be one of: {said}"


async def doctor(work: Work, options: Doctor, tell: Tell) -> dict[str, Any]:
    """Make the checks. A service is compared with all others, whether they are examined or not."""
    settings = work.settings
    checks = [check for check in CHECKS if not options.checks or check.name in options.checks]
    async with shop_of(settings, policy_in_force(settings), clock_seen(settings)) as shop:
        report = await examine(shop, checks, options.services or [work.service], tell)
    return outcome_of(report)


def outcome_of(report: Report) -> dict[str, Any]:
    """What an examination came to, in a few figures and its first findings."""
    return {
        "sound": report.sound,
        "checks": len(report.outcomes),
        "wrong": sum(outcome.findings for outcome in report.outcomes),
        "findings": msgspec.to_builtins(report.findings[:NAMED]),
        "not_compared": len(report.not_compared),
    }
