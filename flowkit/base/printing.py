"""TEMP"""


def speak_plainly() -> None:
    import sys

    for s in (sys.stdout, sys.stderr):
        getattr(s, "reconfigure", lambda **_: None)(errors="replace")
