"""`aftersales version`."""

from importlib import metadata
from typing import Annotated

import typer

from contracts.policy import load_policy
from services.cli.output import AsJson, show_json

Json = Annotated[bool, AsJson]


def version(json: Json = False) -> None:
    """Which release this is, and which policy it brings. 版本。"""
    told = {"version": released(), "policy": load_policy().version}
    if json:
        show_json(told)
    else:
        typer.echo(f"aftersales {told['version']} (policy {told['policy']})")


def released() -> str:
    """The version of the distribution."""
    return metadata.version("aftersales")
