"""How ids are built, so that nothing has to be looked up to find the file that something belongs to."""


def order_of(case_id: str) -> str:
    """The order, and so the stream, of a case: `TB1001` of `TB1001-2`."""
    return case_id.rpartition("-")[0]
