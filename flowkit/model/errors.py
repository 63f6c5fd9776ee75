"""TEMP"""


def hopeless(error: BaseException) -> str | None:
    return None
