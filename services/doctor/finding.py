"""What a check says: something is wrong, and what mends it; or what could not be compared."""

import msgspec

from contracts.policy import Text


class Way(msgspec.Struct, frozen=True):
    """What mends something: a command line, `""` where no command alone does, and what to do in words."""

    command: str
    text: Text


class Wrong(msgspec.Struct, frozen=True):
    """One thing that is not as it must be. `where`: a stream, case, payout, topic, or a row as `table key`."""

    where: str
    what: Text
    expected: str
    found: str
    way: Way


class Note(msgspec.Struct, frozen=True):
    """Something that could not be compared, and is no damage by itself."""

    where: str
    what: Text


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong, as it is told: which check found it in which service, and the command that mends it."""

    check: str
    service: str
    where: str
    what: Text
    expected: str
    found: str
    mend: str
    way_out: Text


class NotCompared(msgspec.Struct, frozen=True, kw_only=True):
    """What a check could not compare."""

    check: str
    service: str
    where: str
    what: Text


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one check came to in one service. `findings`: all that it found, of which the first are told."""

    check: str
    service: str
    findings: int


class Report(msgspec.Struct, kw_only=True):
    """What an examination came to."""

    sound: bool = True
    outcomes: list[Outcome] = []
    findings: list[Finding] = []
    not_compared: list[NotCompared] = []
