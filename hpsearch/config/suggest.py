"""Did you mean: the known word nearest to one that was mistyped."""

from collections.abc import Iterable, Sequence

FAR = 99


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`: did you mean "known"?`, or nothing where no known word is near."""
    near = nearest(word, list(known))
    return f': did you mean "{near}"?' if near else ""


def nearest(word: str, known: Sequence[str]) -> str | None:
    """The known word with the fewest edits to `word`, if they are few for its length."""
    best = min(known, key=lambda other: distance(word, other), default=None)
    return best if best is not None and distance(word, best) <= reach(word) else None


def distance(word: str, other: str) -> int:
    """Insertions, deletions, substitutions and swaps of neighbours that make one the other.

    Case and hyphens are overlooked; initials count as one edit; FAR where the lengths alone
    forbid a likeness.
    """
    a, b = word.lower().replace("-", "_"), other.lower()
    if len(a) > 1 and a == "".join(part[:1] for part in b.split("_")):
        return 1
    return _edits(a, b) if abs(len(a) - len(b)) <= reach(word) else FAR


def _edits(a: str, b: str) -> int:
    """Optimal string alignment, row by row."""
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, char in enumerate(a, 1):
        above, row = row, [i]
        for j, wanted in enumerate(b, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (char != wanted)))
            if i > 1 and j > 1 and char == b[j - 2] and a[i - 2] == wanted:
                row[j] = min(row[j], before[j - 2] + 1)
        before = above
    return row[-1]


def reach(word: str) -> int:
    """How many edits a word of that length may be away."""
    return 1 if len(word) <= 3 else 2 if len(word) <= 8 else 3
