"""Which file CONFIG means: a path, the name of a run, or the name of a bundled config."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from hpsearch.config.suggest import did_you_mean
from hpsearch.errors import ConfigError

DEFAULT = "hpsearch.yaml"
SUFFIXES = (".yaml", ".yml")
DATA = (".csv", ".npy", ".npz")
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Found:
    """A config file that exists.

    `name` is what the run is called where the file does not say; `shown` is the path as messages
    give it; `note` is the line for stderr where nobody asked for this file.
    """

    path: Path
    name: str
    cwd: Path
    shown: str
    note: str = ""


def find(
    config: str | None, *, runs_dir: Path, cwd: Path, fresh: bool = False
) -> Found:
    """The file that CONFIG means, by the look-up of the command line: of a run and a bundled
    config with one name the run, unless it is for a `fresh` one.

    ConfigError where there is none; it lists the bundled configs and the runs.
    """
    if config is None:
        return _default(cwd)
    ours, run = _bundled(config, cwd), _run(config, runs_dir, cwd)
    found = _path(config, cwd) or ((ours or run) if fresh else (run or ours))
    if found is None:
        raise ConfigError(_no_file(config, cwd) or _not_found(config, runs_dir, cwd))
    return found


def bundled() -> dict[str, Path]:
    """The configs that come with the package, by name."""
    package = Path(__file__).parents[1]
    folders = (package / "configs", package.parent / "configs")
    folder = next((f for f in folders if f.is_dir()), folders[0])
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def runs(runs_dir: Path) -> list[str]:
    """The names of the runs in `runs_dir` that have a config."""
    return sorted(path.parent.name for path in runs_dir.glob("*/config.yaml"))


def is_run_name(name: str) -> bool:
    """Whether a run may be called so: then its folder lies right in the runs folder."""
    return bool(_RUN.fullmatch(name))


def run_name(stem: str) -> str:
    """A file's or folder's name as that of a run: what may not stand in one becomes a hyphen."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).lstrip("._-")[:64]
    return name or "run"


def _default(cwd: Path) -> Found:
    if found := _path(DEFAULT, cwd):
        return _noted(found, f"no CONFIG given: taking ./{DEFAULT}")
    found = _bundled("digits", cwd)
    assert found is not None
    nothing = f"no CONFIG given and no ./{DEFAULT} here"
    return _noted(found, f"{nothing}: taking the bundled config digits")


def _noted(found: Found, note: str) -> Found:
    return Found(found.path, found.name, found.cwd, found.shown, note)


def _path(config: str, cwd: Path) -> Found | None:
    path = cwd / config
    if not (_looks_like_a_path(config) and _is_file(path)):
        return None
    stem = path.resolve().parent.name if path.name == DEFAULT else path.stem
    return Found(path, run_name(stem), cwd, config)


def _run(config: str, runs_dir: Path, cwd: Path) -> Found | None:
    path = cwd / runs_dir / config / "config.yaml"
    if not (is_run_name(config) and _is_file(path)):
        return None
    return Found(path, config, cwd, _shown(path, cwd))


def _bundled(config: str, cwd: Path) -> Found | None:
    path = bundled().get(config)
    return Found(path, config, cwd, _shown(path, cwd)) if path else None


def _looks_like_a_path(config: str) -> bool:
    return config.endswith(SUFFIXES) or "/" in config or "\\" in config


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _shown(path: Path, cwd: Path) -> str:
    return str(path.relative_to(cwd)) if path.is_relative_to(cwd) else str(path)


def _no_file(config: str, cwd: Path) -> str:
    """What is said of a pipe or device, which cannot be read again to go on; else empty."""
    path = cwd / config
    try:
        pipe = _looks_like_a_path(config) and path.exists() and not path.is_dir()
    except OSError:
        return ""
    said = "must be a file, got a device or pipe; save the config in a file, and name that"
    return f"{_printable(config)}: {said}" if pipe else ""


def _not_found(config: str, runs_dir: Path, cwd: Path) -> str:
    if config.endswith(DATA) and _is_file(cwd / config):
        made = f"hpsearch init --data {shlex.quote(config)} writes a config for it"
        return f"{_printable(config)}: must be a config, is data; {made}"
    configs, named = list(bundled()), runs(cwd / runs_dir)
    here = sorted(path.name for path in cwd.glob("*.yaml"))
    what = "no such file" if _looks_like_a_path(config) else "no such config or run"
    return "; ".join(
        (
            f"{_printable(config)}: {what}{did_you_mean(config, [*here, *named, *configs])}",
            f"bundled configs: {', '.join(configs)}",
            f"runs in {runs_dir}: {', '.join(named) or 'none'}",
        )
    )


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:200])
