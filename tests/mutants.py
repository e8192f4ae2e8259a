"""Configs with faults: valid ones, mutated in their structure, their text and their bytes.

`python tests/mutants.py [N] [FIRST]` tries N of them, from number FIRST on, and prints what came
of them; `python tests/mutants.py typos` tries all keys with one edit. A mutant is a function of
its number alone.
"""

import copy
import random
import re
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from hpsearch.config.dump import dump, flow
from hpsearch.config.find import Found, bundled
from hpsearch.config.keys import LEVELS, key_meant
from hpsearch.config.load import load
from hpsearch.config.schema import Config
from hpsearch.config.template import json_schema
from hpsearch.config.yaml12 import KeyPath, read
from hpsearch.errors import ConfigError

RULE = re.compile(
    "must|may not|cannot indent|unknown|given twice|not YAML|not UTF-8|not read|read by|needs"
    "|chosen|never holds|cannot be (searched|compared)|go in a circle"
)
REST = re.compile(  # the value that broke the rule, or what to do
    "got |not YAML: |allowed: |: (leave|write|use|save|set|keep|did you mean|it is|name) |->"
    "|never holds: |or name |add |choose |or set "
)
SLOW = 1.0  # seconds
LARGE = 300  # MB
Tree = Any  # mappings are lists of [key, value] pairs in `Pairs`, so that a key can stand twice


class Pairs(list[list[Any]]):
    """A mapping."""


class Raw(str):
    """A scalar as it stands in the file."""


SCALARS = [
    *("null", "~", "true", "no", "on", "0", "-1", "1.5", "0x1F", "0o17", "010", "1e400", "-1e400"),
    *(".inf", "-.inf", ".nan", "inf", "nan", "12:30", "2024-01-01", "1_000", "=", "<<", "''", "x"),
    *("1e-4", "~/x", "'../x'", "/dev/zero", '"\\0"', '"\\e[31m"', '"\\ud800"', '"\\U0001F600"'),
    *("ü", "\u2028", "\u202e", "٣", "😀", "-", "?", "&a 1", "*a", "!!int 5", "!!str x", "!x y"),
    *("!!python/object/apply:os.system [x]", "!!binary AAAA", "!!set {a}", "|\n  x", ">-\n  x"),
    *("[]", "{}", "[[]]", "[null]", "[1, 2, 3]", "{a: {b: [1]}}", "{a: 1, a: 2}", "{? [a]: 1}"),
    *("{log_uniform: [1, 1]}", "{log_uniform: [0, 1]}", "{choice: []}", "{uniform: [0, x]}"),
    *("{zero_or_log_uniform: 3}", "{choice: [1, 2], when: {optimizer: adam}}", "flip+shift2"),
    *("{<<: {a: 1}}", "[*a, *a]", "{a: 1, <<: *a}", "@", "`", "%", "'", '"', "[", "{", "]", "}"),
    *(str(2**53 + 1), str(10**30), str(-(10**399)), str(10**400), "9" * 5000, "1." + "0" * 500),
    *("1e" + "9" * 30, "0x" + "f" * 399, "x" * 70, "x" * 100_000, "'" + "ab " * 300 + "'"),
]  # fmt: skip
TOKENS = [
    *("\t", "\n", ":", ": ", "- ", "{", "}", "[", "]", "'", '"', "&a ", "*a ", "!!int ", "!", "#"),
    *("\x00", "\x1b", "\x7f", "\x85", "\udc80", "\ufeff", "\ufffe", "? ", "---\n", "...\n", "%"),
    *("<<: ", "\r", "\r\n", "\u2028", "é", "0", ",", "|", ">", "\\", " ", "    "),
]


class Mutant(NamedTuple):
    """A file's content, and how it came about."""

    content: bytes
    edits: tuple[str, ...]


class Typo(NamedTuple):
    """A key that was meant at a level of the config, and the word that stands there."""

    level: KeyPath
    key: str
    word: str

    @property
    def understood(self) -> bool:
        return key_meant(self.word, self.level) == self.key


def mutant(number: int) -> Mutant:
    """One to three edits of the tree, one of the text or of the bytes, or some of all."""
    rng = random.Random(number)
    tree = copy.deepcopy(rng.choice(_trees())) if rng.random() < 0.8 else _generated(rng)
    edits = [rng.choice(TREE_EDITS) for _ in range(rng.choice((0, 0, 1, 1, 1, 1, 2, 3)))]
    for edit in edits:
        edit(tree, rng)
    text = "\n".join(_block(tree, rng)) + "\n" if rng.random() < 0.6 else _flow(tree) + "\n"
    if not edits and rng.random() < 0.5:
        text = rng.choice(_texts())
    if number % 100 == 0:
        text = huge(text, rng)
    elif not edits or rng.random() < 0.2:
        edits.append(rng.choice(TEXT_EDITS))
        text = edits[-1](text, rng)
    content = text.encode(errors="surrogatepass")
    if rng.random() < 0.1:
        edits.append(rng.choice(BYTE_EDITS))
        content = edits[-1](content, rng)
    return Mutant(content, tuple(edit.__name__ for edit in edits))


@cache
def _texts() -> list[str]:
    return [path.read_text() for path in bundled().values()]


@cache
def _trees() -> list[Tree]:
    """The bundled configs as they are written, and with all keys."""
    written = [read(text, "").value for text in _texts()]
    whole = [load(Found(p, "x", Path("/"), p.name)).model_dump() for p in bundled().values()]
    for values in whole:
        values["data"]["path"] = values["data"]["path"] and "table.csv"  # alike on all machines
    return [_paired(value) for value in (*written, *whole)]


def _paired(value: Any) -> Tree:
    if isinstance(value, dict):
        return Pairs([key, _paired(item)] for key, item in value.items())
    return [_paired(item) for item in value] if isinstance(value, list | tuple) else value


@cache
def _schema() -> dict[str, Any]:
    return json_schema()


def _generated(rng: random.Random) -> Tree:
    """A config that follows the schema key by key; what must go together may not."""
    return _of(_schema(), rng, 0.3)


def _of(rule: Any, rng: random.Random, share: float) -> Tree:
    """A value that the rule admits, mappings with this share of their keys."""
    while "$ref" in rule:
        rule = _schema()["$defs"][rule["$ref"].rpartition("/")[2]]
    if branches := rule.get("anyOf") or rule.get("oneOf") or rule.get("allOf"):
        return _of(rng.choice(branches), rng, share)
    if "enum" in rule or "const" in rule:
        return rng.choice(rule.get("enum") or [rule["const"]])
    kind = rule.get("type")
    if kind == "object":
        keys = rule.get("properties", {})
        needed = rule.get("required", ())
        chosen = [key for key in keys if key in needed or rng.random() < share]
        return Pairs([key, _of(keys[key], rng, share)] for key in chosen)
    if kind == "array":
        items = rule.get("prefixItems") or [rule.get("items", {})] * rng.randint(1, 3)
        return [_of(item, rng, share) for item in items]
    return _scalar(kind, rule, rng)


def _scalar(kind: str | None, rule: Any, rng: random.Random) -> Any:
    low = rule.get("minimum", rule.get("exclusiveMinimum", 0))
    high = min(rule.get("maximum", rule.get("exclusiveMaximum", 100)), max(100, low))
    return {
        "boolean": rng.random() < 0.5, "null": None, "string": rng.choice(("x", "coarse", "a.b")),
        "integer": rng.randint(int(low), int(high)), "number": rng.uniform(low, high),
    }.get(str(kind), rng.choice((1, 0.5, "x", None)))  # fmt: skip


def _holders(tree: Tree, path: tuple[Any, ...] = ()) -> Iterator[list[Any]]:
    """Every mapping and list with something in it."""
    if isinstance(tree, list) and tree:
        yield tree
        for item in tree:
            yield from _holders(item[1] if isinstance(tree, Pairs) else item)


def _slots(tree: Tree) -> Iterator[tuple[list[Any], int]]:
    """Every list and index at which a value stands: of a mapping the pairs themselves."""
    for holder in _holders(tree):
        for place in range(len(holder)):
            yield (holder[place], 1) if isinstance(holder, Pairs) else (holder, place)


def _at(slot: tuple[list[Any], int]) -> Tree:
    return slot[0][slot[1]]


def _slot(tree: Tree, rng: random.Random) -> tuple[list[Any], int]:
    return rng.choice([*_slots(tree)] or [(["seed", 0], 1)])


def _pair(tree: Tree, rng: random.Random) -> tuple[Pairs, int]:
    """A mapping and the number of one of its pairs."""
    found = [holder for holder in _holders(tree) if isinstance(holder, Pairs)]
    holder = rng.choice(found or [Pairs([["seed", 0]])])
    return holder, rng.randrange(len(holder))


def other_value(tree: Tree, rng: random.Random) -> None:
    holder, place = _slot(tree, rng)
    holder[place] = Raw(rng.choice(SCALARS))


def other_number(tree: Tree, rng: random.Random) -> None:
    """Out of range, or nearly, or in another spelling."""
    holder, place = _slot(tree, rng)
    digits = f"{rng.choice(('', '-', '+'))}{rng.randrange(10 ** rng.randint(1, 20))}"
    holder[place] = Raw(digits + rng.choice(("", ".", ".0", "e9", "e-9", "e400", ".5", "_0")))


def near_number(tree: Tree, rng: random.Random) -> None:
    """Of the same kind and size: most are as good."""
    places = [slot for slot in _slots(tree) if type(_at(slot)) in (int, float)]
    for holder, place in rng.sample(places, min(len(places), 2)):
        factor = rng.choice((0.5, 2, 3, 10))
        holder[place] = type(holder[place])(holder[place] * factor)


def other_subtree(tree: Tree, rng: random.Random) -> None:
    """The subtree that another config has there, or one that the schema would have there."""
    other = copy.deepcopy(rng.choice(_trees())) if rng.random() < 0.7 else _generated(rng)
    for pair in rng.sample(other, min(len(other), 2)):
        tree[:] = [each for each in tree if each[0] != pair[0]] + [pair]


def other_place(tree: Tree, rng: random.Random) -> None:
    """A subtree moved, or copied, to where another stands."""
    holder, place = _slot(tree, rng)
    target, at = _slot(tree, rng)
    target[at] = copy.deepcopy(holder[place])


def swapped(tree: Tree, rng: random.Random) -> None:
    (a, i), (b, j) = ([*_slot(tree, rng)] for _ in range(2))
    a[i], b[j] = copy.deepcopy(b[j]), copy.deepcopy(a[i])


def mistyped_key(tree: Tree, rng: random.Random) -> None:
    holder, place = _pair(tree, rng)
    key = str(holder[place][0])
    holder[place][0] = rng.choice(sorted(rng.choice([*one_edit(key).values()]) or {"x"}))


def other_key(tree: Tree, rng: random.Random) -> None:
    holder, place = _pair(tree, rng)
    holder[place][0] = Raw(rng.choice((*SCALARS[:60], "lr", "epochs", "__class__", "self")))


def key_removed(tree: Tree, rng: random.Random) -> None:
    holder, place = _pair(tree, rng)
    del holder[place]


def key_twice(tree: Tree, rng: random.Random) -> None:
    holder, place = _pair(tree, rng)
    holder.insert(rng.randrange(len(holder) + 1), copy.deepcopy(holder[place]))


def key_added(tree: Tree, rng: random.Random) -> None:
    holder, _ = _pair(tree, rng)
    keys = [pair[0] for each in _trees() for pairs in _holders(each) if isinstance(pairs, Pairs)
            for pair in pairs]  # fmt: skip
    holder.append([rng.choice(keys), Raw(rng.choice(SCALARS))])


def nested(tree: Tree, rng: random.Random) -> None:
    holder, place = _slot(tree, rng)
    depth, bracket = rng.choice((2, 5, 49, 60, 3000)), rng.choice(("[", "{a: "))
    holder[place] = Raw(bracket * depth + "1" + ("]" if bracket == "[" else "}") * depth)


def many(tree: Tree, rng: random.Random) -> None:
    holder, place = _slot(tree, rng)
    holder[place] = [holder[place]] * rng.choice((2, 33, 1001))


def decorated(tree: Tree, rng: random.Random) -> None:
    """With an anchor, a tag, or what makes a mapping a merge."""
    holder, place = _slot(tree, rng)
    mark = rng.choice(("&a ", "!!str ", "!!map ", "!!python/name:os.system ", "! ", "!<x> "))
    holder[place] = Raw(mark + _flow(holder[place]))


def bombed(tree: Tree, rng: random.Random) -> None:
    """Aliases of aliases."""
    holder, place = _slot(tree, rng)
    laughs = ["&a0 [1, 1]", *(f"&a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9))]
    holder[place] = [Raw(laugh) for laugh in laughs]


def one_edit(word: str) -> dict[str, set[str]]:
    """Every word one edit away, by the kind of edit."""
    cuts = [(word[:i], word[i:]) for i in range(len(word) + 1)]
    letters = "abcdefghijklmnopqrstuvwxyz_"
    return {
        "deletion": {a + b[1:] for a, b in cuts if b} - {""},
        "insertion": {a + c + b for a, b in cuts for c in letters},
        "substitution": {a + c + b[1:] for a, b in cuts if b for c in letters} - {word},
        "transposition": {a + b[1] + b[0] + b[2:] for a, b in cuts if len(b) > 1} - {word},
    }


def typos() -> dict[str, list[Typo]]:
    """Every key of the config with one edit that makes no other key, by the kind of edit."""
    found: dict[str, list[Typo]] = {}
    for level, keys in LEVELS.items():
        for key in keys:
            for kind, words in one_edit(key).items():
                new = sorted(words - {*keys})
                found.setdefault(kind, []).extend(Typo(level, key, word) for word in new)
    return found


def token_put(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice(TOKENS) + text[at + rng.choice((0, 0, 1)) :]


def piece_cut(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + text[at + rng.randint(1, 12) :]


def piece_doubled(text: str, rng: random.Random) -> str:
    at, length = rng.randrange(len(text) + 1), rng.randint(1, 40)
    return text[: at + length] + text[at:]


def cut_short(text: str, rng: random.Random) -> str:
    return text[: rng.randrange(len(text) + 1)]


def lines_moved(text: str, rng: random.Random) -> str:
    lines = text.split("\n")
    lines.insert(rng.randrange(len(lines)), lines.pop(rng.randrange(len(lines))))
    return "\n".join(lines)


def indented(text: str, rng: random.Random) -> str:
    lines = text.split("\n")
    at = rng.randrange(len(lines))
    lines[at] = rng.choice((" ", "  ", "\t", " \t", "\u00a0")) + lines[at]
    return "\n".join(lines)


def two_documents(text: str, rng: random.Random) -> str:
    return text + rng.choice(("---\n", "...\n", "---\n---\n", "--- !x\n")) + text


def huge(text: str, rng: random.Random) -> str:
    return text + rng.choice(("# x" * 2**19, "\n" * 2**20, "a" * 900_000, "- 1\n" * 30_000))


def bits_flipped(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content or b"a")
    for _ in range(rng.randint(1, 4)):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def other_encoding(content: bytes, rng: random.Random) -> bytes:
    text = content.decode(errors="replace") + "# é"
    return text.encode(rng.choice(("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1",
                                   "cp037", "utf-7")), errors="replace")  # fmt: skip


def bytes_put(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content) + 1)
    return content[:at] + rng.randbytes(rng.randint(1, 8)) + content[at:]


TREE_EDITS = [
    *(near_number,) * 5, *(other_subtree,) * 3, *(other_value,) * 3, *(other_number,) * 2,
    other_place, swapped, mistyped_key, mistyped_key, other_key, key_removed, key_twice, key_added,
    key_added, nested, many, decorated, bombed,
]  # fmt: skip
TEXT_EDITS = [
    token_put, token_put, piece_cut, piece_doubled, cut_short, lines_moved, indented,
    two_documents, lines_moved, token_put,
]  # fmt: skip
BYTE_EDITS = [bits_flipped, bits_flipped, other_encoding, bytes_put]


def _flow(tree: Tree) -> str:
    if isinstance(tree, Pairs):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(value)}" for key, value in tree) + "}"
    if isinstance(tree, list):
        return "[" + ", ".join(map(_flow, tree)) + "]"
    return tree if isinstance(tree, Raw) else flow(tree)


def _block(tree: Tree, rng: random.Random, indent: str = "") -> list[str]:
    """The lines of a mapping, those in it in lines of their own or not."""
    if not isinstance(tree, Pairs):
        return [indent + _flow(tree)]
    lines = []
    for key, value in tree:
        if isinstance(value, Pairs) and value and rng.random() < 0.8:
            lines += [f"{indent}{_flow(key)}:", *_block(value, rng, indent + "  ")]
        else:
            lines.append(f"{indent}{_flow(key)}: {_flow(value)}")
    return lines


class Outcome(NamedTuple):
    """What came of a mutant: accepted, refused, or what is wrong with how it ended."""

    kind: str
    fault: str
    seconds: float
    message: str = ""


def tried(content: bytes, path: Path) -> Outcome:
    """Loads the content from a file at `path`."""
    path.write_bytes(content)
    kind, fault, message, config = "refused", "", "", None
    start = time.process_time()
    try:
        config = load(Found(path, "x", path.parent, path.name))
    except ConfigError as error:
        message = str(error)
    except Exception as error:
        kind, fault = "traceback", repr(error)
    seconds = time.process_time() - start
    if config is not None:
        kind, fault = "accepted", "" if _complete(config) else "not complete"
    fault = _unfit(message, content, path.name) if message else fault
    return Outcome(kind, fault or ("slow" if seconds > SLOW else ""), seconds, message)


def _complete(config: Config) -> bool:
    """Whether it is what its own dump is read as."""
    values = read(dump(config), "dump").value
    return isinstance(values, dict) and Config.model_validate(values) == config


def _unfit(message: str, content: bytes, name: str) -> str:
    """What a refusal lacks: in each line a place in the file, a rule, and what stands there."""
    text = content[: 2**20].decode("utf-8-sig", errors="replace")
    lines = re.split("\r\n|[\n\r\x85\u2028\u2029]", text)
    for line in message.split("\n"):
        found = re.match(re.escape(name) + r":(\d+):(\d+): (.+)$", line)
        if not found:
            if not re.fullmatch(r"\.\.\. and \d+ more", line):
                return f"no place: {line}"
            continue
        at, column = int(found[1]), int(found[2])
        if not (1 <= at <= len(lines) and 1 <= column <= len(lines[at - 1]) + 1):
            return f"no such place: {line}"
        if not (RULE.search(found[3]) and REST.search(found[3])):
            return f"no rule, or nothing to go by: {line}"
        if not line.isprintable() or len(line) > 1000:
            return f"not to be shown: {line}"
    return ""


def all_typos() -> int:
    """Prints how many are understood; 1 where of a kind it is less than 95 %."""
    shares = []
    for kind, words in typos().items():
        understood = sum(typo.understood for typo in words)
        shares.append(understood / len(words))
        print(f"{kind}: {understood} of {len(words)} understood, {shares[-1]:.2%}")
    return int(min(shares) < 0.95)


def main(number: int = 100_000, first: int = 0) -> int:
    """Prints the counts; 1 where anything went wrong."""
    kinds: Counter[str] = Counter()
    edits: Counter[str] = Counter()
    faults, slowest, memory = [], (0.0, 0), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        for n in range(first, first + number):
            made = mutant(n)
            outcome = tried(made.content, Path(folder) / "x.yaml")
            kinds[outcome.kind] += 1
            edits.update(made.edits)
            slowest = max(slowest, (outcome.seconds, n))
            faults += [(n, outcome.fault)] if outcome.fault else []
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for n, fault in faults[:40]:
        print(f"{n}: {fault[:300]}")
    print(f"{number} mutants: {dict(kinds)}, {len(faults)} faults; slowest {slowest[0]:.3f} s "
          f"(number {slowest[1]}); memory {peak:.0f} MB at most, {memory / 1024:.0f} at first")
    print(", ".join(f"{name} {count}" for name, count in edits.most_common()))
    return int(bool(faults) or peak > LARGE)


if __name__ == "__main__":
    sys.exit(all_typos() if sys.argv[1:] == ["typos"] else main(*map(int, sys.argv[1:])))
