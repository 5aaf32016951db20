"""How ids and streams are named, so that nothing has to be looked up to find the file that something belongs to."""

from typing import Final

#: What streams begin with that are no order's. No order can be called so: its id begins with a letter or digit.
NO_ORDER: Final = "~"
#: What the streams of operations begin with.
OPERATION: Final = f"{NO_ORDER}operation:"


def order_of(case_id: str) -> str:
    """The order, and so the stream, of a case: `TB1001` of `TB1001-2`."""
    return case_id.rpartition("-")[0]


def is_order(stream: str) -> bool:
    """Whether a stream is the file of an order, and neither stock's nor an operation's."""
    return not stream.startswith(NO_ORDER)


def is_operation(stream: str) -> bool:
    """Whether a stream tells of an operation (work that an operator started) and is no file of the business."""
    return stream.startswith(OPERATION)


def stream_of_operation(operation: str) -> str:
    """The stream that tells of an operation."""
    return OPERATION + operation


def operation_of(stream: str) -> str:
    """The operation that a stream tells of."""
    return stream.removeprefix(OPERATION)
