"""How ids and streams are named, so that nothing has to be looked up to find the file that something belongs to."""

from typing import Final

#: What the streams of operations begin with. No order can be called so: an order's id begins with a letter or digit.
OPERATION: Final = "~operation:"


def order_of(case_id: str) -> str:
    """The order, and so the stream, of a case: `TB1001` of `TB1001-2`."""
    return case_id.rpartition("-")[0]


def is_operation(stream: str) -> bool:
    """Whether a stream tells of an operation (work that an operator started) and is no file of the business."""
    return stream.startswith(OPERATION)


def stream_of_operation(operation: str) -> str:
    """The stream that tells of an operation."""
    return OPERATION + operation


def operation_of(stream: str) -> str:
    """The operation that a stream tells of."""
    return stream.removeprefix(OPERATION)
