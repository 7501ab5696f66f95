"""The one exception that is shown to a user as a single line."""


class UserError(Exception):
    """A mistake that the user can correct. The message is one line: what is wrong and what to do about it."""
