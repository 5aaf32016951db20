"""Options that several commands have in common, said once: a dataclass lists them, a command takes one of those."""

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any, TypeVar

O = TypeVar("O")  # noqa: E741 - the options


def with_options(options: Callable[..., O]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A command whose function takes a dataclass first, and is shown with its fields as options beside its own."""
    shared = [field.replace(kind=Parameter.KEYWORD_ONLY) for field in signature(options).parameters.values()]

    def take(command: Callable[..., None]) -> Callable[..., None]:
        own = [one.replace(kind=Parameter.KEYWORD_ONLY) for one in signature(command).parameters.values()][1:]

        @wraps(command)
        def run(**given: Any) -> None:
            command(options(**{field.name: given.pop(field.name) for field in shared}), **given)

        vars(run)["__signature__"] = Signature([*shared, *own])
        return run

    return take
