"""`aftersales`: the table of its commands."""

import typer

from services.cli import (
    balance,
    bill,
    case,
    checkpoints,
    config,
    demo,
    dlq,
    doctor,
    erase,
    events,
    explain,
    keys,
    lag,
    ledger,
    operations,
    order,
    rebuild,
    role,
    serve,
    settlement,
    stack,
    tokens,
    topics,
    verify,
    version,
    whatif,
)
from services.scenarios.cli import app as scenario

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Order after-sales: cases, refunds, liability, exact to the fen. 订单售后:受理、退款、定责,精确到分。",
)
app.command("serve")(serve.serve)
app.command("api")(role.api)
app.command("relay")(role.relay)
app.command("consume")(role.consume)
app.command("all")(role.all_)
app.command("migrate")(role.migrate)
app.command("republish")(checkpoints.republish)
app.command("resume")(checkpoints.resume)
app.command("rewind")(checkpoints.rewind)
app.command("rebuild")(rebuild.rebuild)
app.add_typer(topics.app, name="topics")
app.add_typer(dlq.app, name="dlq")
app.add_typer(events.app, name="events")
app.command("lag")(lag.lag)
app.command("doctor")(doctor.doctor)
app.add_typer(operations.app, name="operations")
app.command("stack")(stack.stack)
app.command("token")(tokens.token)
app.add_typer(case.app, name="case")
app.add_typer(explain.app, name="explain")
app.add_typer(order.app, name="order")
app.add_typer(settlement.app, name="settlement")
app.add_typer(bill.app, name="bill")
app.add_typer(ledger.app, name="ledger")
app.command("balances")(balance.show)
app.command("verify")(verify.verify)
app.command("erase")(erase.erase)
app.add_typer(keys.app, name="keys")
app.add_typer(scenario, name="scenario")
app.add_typer(whatif.app, name="replay")
app.add_typer(config.app, name="config")
app.command("demo")(demo.demo)
app.command("version")(version.version)


def main() -> None:
    """Run the command line."""
    app()
