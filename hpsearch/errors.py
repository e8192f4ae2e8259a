"""What can go wrong that is not a bug: each error knows its exit code."""


class HpsearchError(Exception):
    """A message for the user: place, rule, value, remedy. Shown without a traceback."""

    exit_code = 2


class UsageError(HpsearchError):
    """A command that cannot mean anything: no such run, no such trial."""


class ConfigError(HpsearchError):
    """A config file or a --set that breaks the schema; one line per fault."""


class DataError(HpsearchError):
    """Data that cannot be read, or that no classifier can be trained on."""


class GateError(HpsearchError):
    """A stage that refuses to start because an earlier gate failed."""

    exit_code = 1


class HostError(HpsearchError):
    """The machine failed us: disk full, no permission, run locked by another process."""

    exit_code = 3


class Terminated(BaseException):
    """SIGTERM where nothing can be stopped more gently, as KeyboardInterrupt is Ctrl-C."""


class Stopped(HpsearchError):
    """The user stopped the run; everything finished so far is kept."""

    exit_code = 130
