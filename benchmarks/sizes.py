"""How much is measured: enough to trust, or so little that it only shows that everything runs."""

import msgspec


class Sizes(msgspec.Struct, frozen=True):
    """Rounds, and how many of everything in each."""

    rounds: int
    #: Commands of one round through HTTP with many clients; one client sends a quarter.
    commands: int
    #: One-row commits, and commands of the library, in one round.
    rows: int
    library_commands: int
    #: Appends of one round.
    appends: int
    #: Lengths of histories that are folded, and the longest that the library is given.
    histories: tuple[int, ...]
    library_history: int
    #: Events of the order files whose command latency is measured, files of each size, and commands on each.
    file_events: tuple[int, ...]
    files: int
    file_commands: int
    #: Numbers of orders that are there while commands come.
    orders: tuple[int, ...]
    #: Events that are published, and that are heard, in one round; partitions that they are heard on.
    published: int
    heard: int
    partitions: tuple[int, ...]
    #: Commands whose way to another service is timed.
    charges: int
    #: Events of the logs that are appended to.
    log_events: tuple[int, ...]
    #: Events of the longest log that is replayed.
    replayed: int


FULL = Sizes(
    rounds=5,
    commands=4000,
    rows=1000,
    library_commands=500,
    appends=10_000,
    histories=(1_000, 10_000, 100_000, 1_000_000),
    library_history=100_000,
    file_events=(10, 100, 1_000),
    files=30,
    file_commands=10,
    orders=(100, 1_000, 5_000),
    published=20_000,
    heard=6_000,
    partitions=(1, 3, 6),
    charges=200,
    log_events=(0, 20_000, 200_000),
    replayed=300_000,
)
#: Whole logs take long, and vary little.
REPLAY = msgspec.structs.replace(FULL, rounds=3)
QUICK = Sizes(
    rounds=3,
    commands=1500,
    rows=400,
    library_commands=200,
    appends=4000,
    histories=(1_000, 10_000),
    library_history=10_000,
    file_events=(10, 100, 1_000),
    files=10,
    file_commands=5,
    orders=(100, 500),
    published=10_000,
    heard=3_000,
    partitions=(1, 3, 6),
    charges=60,
    log_events=(0, 20_000),
    replayed=50_000,
)
#: For the tests of the benchmarks themselves.
TINY = Sizes(
    rounds=1,
    commands=64,
    rows=5,
    library_commands=5,
    appends=128,
    histories=(50, 100),
    library_history=50,
    file_events=(10, 20),
    files=2,
    file_commands=2,
    orders=(4,),
    published=64,
    heard=40,
    partitions=(2,),
    charges=3,
    log_events=(0,),
    replayed=2_200,
)
