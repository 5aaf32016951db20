"""`aftersales`: the table of its commands. Each is imported when it is wanted: all of them take seconds."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_group

#: What can be typed, and where it is: a module and the function, or the group of commands, in it.
COMMANDS: Final[Mapping[str, str]] = {
    "serve": "services.cli.serve:serve",
    "api": "services.cli.role:api",
    "relay": "services.cli.role:relay",
    "consume": "services.cli.role:consume",
    "all": "services.cli.role:all_",
    "console": "services.cli.console:console",
    "migrate": "services.cli.role:migrate",
    "republish": "services.cli.checkpoints:republish",
    "resume": "services.cli.checkpoints:resume",
    "rewind": "services.cli.checkpoints:rewind",
    "rebuild": "services.cli.rebuild:rebuild",
    "lag": "services.cli.lag:lag",
    "doctor": "services.cli.doctor:doctor",
    "stack": "services.cli.stack:stack",
    "token": "services.cli.tokens:token",
    "link": "services.cli.link:link",
    "balances": "services.cli.balance:show",
    "verify": "services.cli.verify:verify",
    "erase": "services.cli.erase:erase",
    "demo": "services.cli.demo:app",
    "version": "services.cli.version:version",
    "topics": "services.cli.topics:app",
    "dlq": "services.cli.dlq:app",
    "events": "services.cli.events:app",
    "operations": "services.cli.operations:app",
    "case": "services.cli.case:app",
    "explain": "services.cli.explain:app",
    "order": "services.cli.order:app",
    "settlement": "services.cli.settlement:app",
    "bill": "services.cli.bill:app",
    "reconcile": "services.cli.reconcile:app",
    "discrepancy": "services.cli.discrepancy:app",
    "ledger": "services.cli.ledger:app",
    "books": "services.cli.export:app",
    "insurance": "services.cli.insurance:app",
    "statement": "services.cli.statement:app",
    "indicators": "services.cli.indicators:show",
    "correction": "services.cli.correction:app",
    "period": "services.cli.period:app",
    "keys": "services.cli.keys:app",
    "scenario": "services.scenarios.cli:app",
    "replay": "services.cli.whatif:app",
    "config": "services.cli.config:app",
}


class _Commands(Mapping[str, Any]):
    """The commands by name, each made when it is first looked up."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = _command(name, COMMANDS[name])
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in COMMANDS

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class _Lazy(TyperGroup):
    """All commands as a group that imports those that it runs or describes."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**{**given, "commands": _Commands()})

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)


def _command(name: str, place: str) -> Any:
    module, _, attribute = place.partition(":")
    found = getattr(import_module(module), attribute)
    alone = typer.Typer()
    if isinstance(found, typer.Typer):
        alone.add_typer(found, name=name)
    else:
        alone.command(name)(found)
    return get_group(alone).commands[name]


app = typer.Typer(
    cls=_Lazy,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Order after-sales: cases, refunds, liability, finance, exact to the fen."
    " 订单售后:受理、退款、定责、财务,精确到分。",
)


@app.callback()
def aftersales() -> None:
    """What every command line begins with: nothing."""


def main() -> None:
    """Run the command line."""
    app()
