"""`hpsearch doctor`: the machine and a run, line by line, with a remedy for what is not well."""

from typing import Annotated

import typer

from hpsearch.commands.options import Options, command
from hpsearch.commands.showing import emit, follow, passed
from hpsearch.errors import HostError, UsageError

STAGE = "doctor"


@command
def doctor(
    options: Options,
    which: Annotated[
        str | None, typer.Argument(metavar="RUN", help="The run's name; without it the machine.")
    ] = None,
) -> None:
    """Verify the machine and a run; repair what is derived."""
    from hpsearch.config.find import run_name
    from hpsearch.doctor.folder import examined
    from hpsearch.doctor.machine import machine_checks
    from hpsearch.report.checking import check_view
    from hpsearch.report.page import page
    from hpsearch.store import RunStore, open_run
    from hpsearch.verdict import CheckDocument, Verdict

    name = which or options.run
    store = RunStore(options.runs_dir, run_name(name)) if name else None
    if store and store.name != name:
        raise UsageError(f"RUN {name}: must be a run's name; see hpsearch ls")
    if store and not store.folder.is_dir():
        open_run(options.runs_dir, store.name)
    checks = tuple(machine_checks(options.runs_dir))
    fit = all(check.verdict is not Verdict.FAIL for check in checks)
    checks += tuple(examined(store, page)) if store else ()
    document = CheckDocument(STAGE, checks)
    emit(options, document.to_json(), check_view(document))
    well = passed(options, document.verdict)
    lost = any(c.verdict is Verdict.WARN and c.name in ("documents", "trials") for c in checks)
    then = "run" if lost else "report"
    following = f"{then} {name}" if name and well else "ls" if well else f"doctor {name or ''}"
    mending = "" if well else "   (after mending the above)"
    follow(options, f"hpsearch {following.strip()}{options.elsewhere}{mending}")
    if not fit:
        raise HostError("doctor: the machine cannot keep a run; see disk-writes above")
    if not well:
        raise typer.Exit(1)
