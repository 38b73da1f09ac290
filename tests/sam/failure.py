"""The one exception that the proof reports to its reader."""


class Failed(Exception):
    """What could not be done, or which answer was wrong; the message is all the reader gets."""


def tail(log, lines=15):
    """The end of a log file, for a message."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError as error:
        return f"({log} cannot be read: {error})"
