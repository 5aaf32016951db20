"""`python -m tests.faults.soak --seed N --minutes M`: faults at random under load, judged after every round.

The seed decides which faults a round has and when, so a run is played again by its seed; `--from-round` leaves the
rounds before out. Ends with status 1 at the first round that leaves something unsound behind: then logs, databases and
topics are kept, and it is told where and how to play it again.
"""

import asyncio
import itertools
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from tests.faults import harm
from tests.faults.points import POINTS, Doom
from tests.faults.remains import keep
from tests.faults.stage import SERVICES, Stage

ROUND_SECONDS = 20.0
#: Once a round is over, how long everything on its way may take: payouts without answer are asked about after half a
#: minute only.
QUIET_SECONDS = 300.0
MOVES = ("ok", "ok", "fail", "timeout_paid", "timeout_unpaid", "late", "duplicate_callback", "lie", "error")
ROLES = ("api", "relay", "consume")
BROKERS = 3


class Fault(NamedTuple):
    """One fault of a round: when it begins and for how long, in seconds, what it hits, and the harm itself."""

    at_s: float
    for_s: float
    what: str
    hits: str
    harm: Callable[[Stage], AbstractAsyncContextManager[None]]

    def __str__(self) -> str:
        return f"{self.at_s:5.1f} s  {self.what}, for {self.for_s:.1f} s"


def schedule(chance: random.Random) -> list[Fault]:
    """The faults of a round, none of which hits what another has hit: of three brokers two must stay."""
    drawn = [_fault(chance) for _ in range(chance.randint(1, 4))]
    first = {fault.hits: fault for fault in reversed(drawn)}
    return sorted(first.values(), key=lambda fault: fault.at_s)


def _fault(chance: random.Random) -> Fault:
    at_s, for_s = chance.uniform(1, ROUND_SECONDS / 2), chance.uniform(0.5, ROUND_SECONDS / 2)
    broker, service, role = chance.randrange(BROKERS), chance.choice(SERVICES), chance.choice(ROLES)
    name = f"{service}-{role}"
    fate = _fate(chance, role)
    what, hits, does = chance.choice(
        [
            (f"broker {broker} is killed", "a broker", lambda stage: harm.broker_killed(stage, broker)),
            (f"broker {broker} is frozen", "a broker", lambda stage: harm.broker_frozen(stage, broker)),
            ("the database is killed", "the database", harm.database_killed),
            (f"{name} is killed", name, lambda stage: harm.process_killed(stage, name)),
            (f"{name} is frozen", name, lambda stage: harm.process_frozen(stage, name)),
            (f"{name} ends at {fate}", name, lambda stage: harm.process_doomed(stage, name, fate)),
            (f"one more {name}", f"{name}-2", lambda stage: harm.one_more(stage, name)),
        ]
    )
    return Fault(at_s, for_s, what, hits, does)


def _fate(chance: random.Random, role: str) -> Doom:
    fitting: dict[str, Sequence[str]] = {
        "api": ("before_commit", "after_commit"),
        "relay": ("published",),
        "consume": ("handled_before_commit", "handled_after_commit"),
    }
    point = chance.choice(fitting[role])
    assert point in POINTS
    return Doom(point, chance.randint(1, 8))


async def play(stage: Stage, faults: Sequence[Fault], number: int) -> None:
    """One round: commands and faults, then quiet, then the judgement. Raises what it finds."""
    async with stage.load(name=f"R{number}x") as load, asyncio.TaskGroup() as tasks:
        for fault in faults:
            tasks.create_task(_let_happen(stage, fault))
        await asyncio.sleep(ROUND_SECONDS)
    await stage.must_be_sound(QUIET_SECONDS)
    print(f"       sound: {load.answers}", flush=True)


async def _let_happen(stage: Stage, fault: Fault) -> None:
    await asyncio.sleep(fault.at_s)
    async with fault.harm(stage):
        await asyncio.sleep(fault.for_s)


async def soak(seed: int, minutes: float, from_round: int) -> None:
    """Round after round until the time is up."""
    stage = Stage(Path(tempfile.mkdtemp(prefix="soak-")), seed)
    print(f"seed {seed}, in {stage.folder}", flush=True)
    try:
        await stage.open()
        ends_at = time.monotonic() + minutes * 60
        for number in itertools.count(from_round):
            if time.monotonic() >= ends_at:
                break
            chance = random.Random(f"{seed}/{number}")
            faults, moves = schedule(chance), [chance.choice(MOVES) for _ in range(60)]
            print(f"round {number}", *faults, sep="\n       ", flush=True)
            try:
                await stage.provider.behaves(*moves)
                await play(stage, faults, number)
            except Exception:
                await _tell_what_remains(stage, minutes, number)
                raise
    finally:
        await stage.close()
    shutil.rmtree(stage.folder)


async def _tell_what_remains(stage: Stage, minutes: float, number: int) -> None:
    remains = stage.folder / "remains"
    lost = await keep(stage, remains)
    again = f"python -m tests.faults.soak --seed {stage.seed} --minutes {minutes:g}"
    lines = [
        f"NOT SOUND in round {number}",
        f"databases, topics, what senders were told: {remains}",
        *(f"not kept: {one}" for one in lost),
        f"logs of the processes: {stage.folder / 'stack' / 'logs'}",
        f"again from the first round: {again}",
        f"again from this round: {again} --from-round {number}",
    ]
    print("\n       ".join(lines), file=sys.stderr, flush=True)


def main(
    seed: Annotated[int, typer.Option(help="Decides all; drawn where none is given.")] = -1,
    minutes: Annotated[float, typer.Option(help="How long to go on.")] = 15,
    from_round: Annotated[int, typer.Option(help="Leave the rounds before this one out.")] = 1,
) -> None:
    """Faults at random under load, judged after every round."""
    seed = seed if seed >= 0 else random.SystemRandom().randrange(1_000_000)
    try:
        asyncio.run(soak(seed, minutes, from_round))
    except Exception as error:
        print(f"NOT SOUND, seed {seed}: {error!r}", file=sys.stderr, flush=True)
        raise


if __name__ == "__main__":
    typer.run(main)
