"""The command line of the campaigns: one file a campaign, found by listing the folder."""

import importlib
from pathlib import Path

import click


class Campaigns(click.Group):
    """Campaigns by the names of their files; a file is imported when its campaign is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        names = {path.stem for path in Path(__file__).parent.glob("[!_]*.py")}
        return sorted(name for name in names if not name.startswith("test_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = importlib.import_module(f"workshop.campaigns.{cmd_name}").command
        return command


@click.group(cls=Campaigns, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Kill, break, flip and overload the application, and count what is lost.

    A campaign prints one line with its counts, and exits with 1 where anything was lost.
    """


if __name__ == "__main__":
    cli(prog_name="python -m workshop.campaigns")
