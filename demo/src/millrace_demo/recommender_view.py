"""Show the recommender at work: a table that moves for a person, a line now and then for a log, and a summary."""

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from millrace_demo.errors import DemoError
from millrace_demo.recommender_readers import Calls
from millrace_demo.recommender_story import POPULARITY, Story


def in_a_line(story: Story, calls: Calls, *, seconds: float) -> str:
    """Say how things are in one line."""
    worth = story.versions[-1] if story.versions else None
    now = f"{_name(worth.version)}: {percent(worth.when_aged)} hits" if worth else "nobody is known yet"
    return f"  {seconds:5.0f} s  {now:<28} {_facts(story, calls)}"


def live_table(story: Story, calls: Calls, *, seconds: float) -> Group:
    """Draw versions with their hit rates, and below them what goes on."""
    return Group(_versions(story), Text(f"  {seconds:.0f} s: {_facts(story, calls)}"))


def show_summary(console: Console, story: Story, calls: Calls) -> None:
    """Print what was learned; raise DemoError if it was nothing."""
    console.print(_versions(story))
    for before, new in story.trainings:
        console.print(
            f"  {_name(new.version)} replaced {_name(before.version)}: "
            f"{percent(before.when_aged)} hits before, {percent(new.when_new)} after",
            soft_wrap=True,
        )
    console.print(f"  {_facts(story, calls)}", soft_wrap=True)
    console.print(
        "  A hit is an event whose item the user had been recommended before. The events are generated: tastes drift, "
        "so what was learned grows old.",
        soft_wrap=True,
    )
    before, new = story.trainings[-1]
    if (new.when_new or 0.0) <= (before.when_aged or 0.0):
        raise DemoError("the last training did not raise the hit rate; see `kubectl describe modelversions`")


def percent(share: float | None) -> str:
    """Write 12.3 %, or - where nothing is known."""
    return "-" if share is None else f"{share:.1%}"


def _versions(story: Story) -> Table:
    table = Table(title="Events that went to a recommended item", title_justify="left")
    table.add_column("recommended by")
    for heading in ("when new", "last seen", "events"):
        table.add_column(heading, justify="right")
    for worth in story.versions:
        table.add_row(_name(worth.version), percent(worth.when_new), percent(worth.when_aged), f"{worth.events:,}")
    return table


def _facts(story: Story, calls: Calls) -> str:
    facts = [f"cache answers {percent(calls.cache_hit_ratio)} of {calls.answered} calls"]
    if (rate := story.events_per_second) is not None:
        facts.insert(0, f"{rate:.0f} events/s")
    reading = story.latest
    if reading is not None and reading.behind_seconds is not None:
        facts.insert(1, f"{reading.behind_seconds:.1f} s behind")
    if reading is not None and reading.latency_p50_seconds is not None and reading.latency_p95_seconds is not None:
        facts.append(
            f"event to recommendation {reading.latency_p50_seconds:.2f} s p50, {reading.latency_p95_seconds:.2f} s p95"
        )
    return ", ".join(facts)


def _name(version: str) -> str:
    return "what is popular" if version == POPULARITY else f"version {version}"
