"""`python -m tests.faults.faulty STREAM -- consume refunds …`: the command line, with a rule that fails for one stream.

This is what a release with a bug is like: the event is sound, the handler raises. How long a message is retried is cut
short, so that a test need not wait.
"""

import sys
from typing import Any

from contracts.registry import EVENT_TYPES
from services.cli.main import main
from services.kernel.files import Files
from services.kernel.kafka.consumer import KafkaConsumer

#: The event that the rule fails for.
FAILS = "refund.requested"
RETRY_SECONDS = (0.1, 0.2, 0.4)


def run(arguments: list[str]) -> None:
    """Break the rule, then do what this process was to do."""
    assert FAILS in EVENT_TYPES
    stream, _, *rest = arguments
    hear, begin = Files.hear, KafkaConsumer.__init__

    async def fails(files: Files[Any], record: Any, *given: Any, **named: Any) -> Any:
        if record.stream == stream and record.type == FAILS:
            raise ZeroDivisionError("a rule of this release is wrong")
        return await hear(files, record, *given, **named)

    def impatient(consumer: KafkaConsumer, *given: Any, **named: Any) -> None:
        begin(consumer, *given, **{**named, "retry_seconds": RETRY_SECONDS})

    Files.hear = fails  # type: ignore[assignment,method-assign]
    KafkaConsumer.__init__ = impatient  # type: ignore[assignment,method-assign]
    sys.argv = ["aftersales", *rest]
    main()


if __name__ == "__main__":
    run(sys.argv[1:])
