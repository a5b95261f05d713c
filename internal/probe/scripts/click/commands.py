"""click runs commands: groups, options, types, prompts, files, errors and help."""
import importlib.metadata

import click
from click.testing import CliRunner


def check(ok, what):
    if not ok:
        raise SystemExit("click: " + what)


@click.group()
@click.version_option("1.2", prog_name="layer")
def main():
    """Group help."""


@main.command()
@click.argument("names", nargs=-1)
@click.option("--count", "-c", type=click.IntRange(1, 3), default=1, show_default=True)
@click.option("--kind", type=click.Choice(["a", "b"]))
@click.option("--secret", prompt=True, hide_input=True)
@click.option("--out", type=click.File("w"), default="-")
def build(names, count, kind, secret, out):
    click.echo(click.style("%s %d %s %s" % (",".join(names), count, kind, secret), fg="green"), file=out)


check(importlib.metadata.version("click")[0].isdigit(), "no metadata")
runner = CliRunner()
done = runner.invoke(main, ["build", "x", "y", "-c", "2", "--kind", "b"], input="pw\n")
check(done.exit_code == 0 and "x,y 2 b pw" in done.output, done.output)
check(runner.invoke(main, ["build", "-c", "9"], input="pw\n").exit_code == 2 and runner.invoke(main, ["nope"]).exit_code == 2, "wrong usage")
check("--count" in runner.invoke(main, ["build", "--help"]).output and "1.2" in runner.invoke(main, ["--version"]).output, "help")
with click.Context(main):
    check(click.unstyle(click.style("t", bold=True)) == "t" and click.format_filename("a") == "a", "style")
with click.progressbar(range(3), file=open("/dev/null", "w")) as bar:
    check(list(bar) == [0, 1, 2], "progress bar")
