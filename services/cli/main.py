"""`aftersales`: the table of its commands."""

import typer

from services.cli import case, config, demo, serve, tokens, version
from services.scenarios.cli import app as scenario

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Order after-sales: cases, refunds, liability, exact to the fen. 订单售后:受理、退款、定责,精确到分。",
)
app.command("serve")(serve.serve)
app.command("token")(tokens.token)
app.add_typer(case.app, name="case")
app.add_typer(scenario, name="scenario")
app.add_typer(config.app, name="config")
app.command("demo")(demo.demo)
app.command("version")(version.version)


def main() -> None:
    """Run the command line."""
    app()
