"""Names that a person can say: two words and a number, for a run that was given none."""

from __future__ import annotations

import random

__all__ = ["make_name"]

_ADJECTIVES = (
    "amber", "azure", "bold", "brave", "brisk", "calm", "clear", "copper", "crisp", "daring", "eager", "early",
    "fair", "fleet", "gentle", "golden", "happy", "honest", "jolly", "keen", "kind", "light", "lively", "lucky",
    "mellow", "merry", "misty", "noble", "patient", "proud", "quick", "quiet", "rapid", "silver", "sunny", "steady",
    "swift", "vivid", "warm", "wise",
)  # fmt: skip
_NOUNS = (
    "aspen", "badger", "beacon", "brook", "cedar", "comet", "coral", "crane", "delta", "falcon", "fern", "finch",
    "fjord", "garden", "glacier", "harbor", "heron", "island", "juniper", "lagoon", "lark", "maple", "meadow", "mesa",
    "orchard", "otter", "pebble", "pine", "plover", "prairie", "reef", "ridge", "river", "robin", "spruce", "summit",
    "tide", "valley", "willow", "wren",
)  # fmt: skip


def make_name() -> str:
    """Return a name such as `swift-heron-42`: easy to tell apart, not unique; the run's id is."""
    # A generator of its own: a user's `random.seed(0)` must neither repeat our names nor be disturbed by them.
    pick = random.SystemRandom()
    return f"{pick.choice(_ADJECTIVES)}-{pick.choice(_NOUNS)}-{pick.randint(1, 99)}"
