"""What can go wrong with a station."""


class StationError(Exception):
    """A station did not do what it was asked; trying again later may help."""


class StationBusyError(StationError):
    """A passing trouble: no answer, a broken connection, a 5xx or 429."""


class NotOnlineError(StationError):
    """The file is ordered and not there yet; nothing is wrong with the station."""


class ContentError(Exception):
    """What a station delivers is not what it announced."""
