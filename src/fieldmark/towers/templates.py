"""Sentences from templates: `a photo of a {}.` for a class name, `a {back_colour} {shape}` for annotations."""

import string
from collections.abc import Mapping

PHOTO = "a photo of a {}."  # the template of a class name where none is given


def fields(template: str) -> list[str]:
    """Return the names in braces, '' for empty braces. Raises ValueError for braces that are not plain names."""
    names = []
    for _, name, form, conversion in string.Formatter().parse(template):
        if name is None:
            continue
        if form or conversion or not (name == "" or name.replace("_", "a").isalnum()):
            raise ValueError(f"'{template}': write {{name}} with letters, digits and underscores only")
        names.append(name)
    return names


def fill(template: str, values: Mapping[str, str]) -> str | None:
    """Return `template` with each `{name}` replaced by its value, underscores as spaces; None when one is missing."""
    if any(name not in values for name in fields(template)):
        return None
    return template.format(**{name: spaced(value) for name, value in values.items()})


def prompt(template: str, text: str) -> str:
    """Return `template` with its one `{}` replaced by `text`, underscores as spaces."""
    return template.format(spaced(text))


def spaced(text: str) -> str:
    """Return `text` with spaces for underscores, one space for several, and none at its ends."""
    return " ".join(text.replace("_", " ").split())


def checked_templates(templates: tuple[str, ...]) -> tuple[str, ...]:
    """Return the templates of class names. Raises ValueError without templates, and unless each has one `{}`."""
    if not templates or any(fields(template) != [""] for template in templates):
        raise ValueError("every template needs one {} for the class, and there must be one")
    return templates
