"""In what variants and arms differ, so that two are compared only where one thing tells them apart."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fieldmark.methods.irt.model.method import Irt

Field = Literal["backbone", "pooling", "dim", "lambda", "margin", "loss"]
NOT_OF_A_MODEL = ("variants", "seeds", "gradients")
# What only one loss reads goes with it.
OF_LOSSES = ("temperature", "proxy_lr", "margin", "reduction", "memory")


@dataclass(frozen=True)
class Setting:
    """What a model was made with: its backbone, and the values of its block by name."""

    name: str
    backbone: tuple[str, str]  # architecture, and where it starts from if not where its method does
    has_cls: bool
    distilled: bool
    trained: bool
    values: Mapping[str, Any]

    @classmethod
    def of(cls, name: str, model: Irt) -> "Setting":
        """Return the setting of a model that the report calls `name`."""
        spec, variant = model.descriptor.backbone.spec, model.variant
        dumped = variant.params.model_dump(mode="json", by_alias=True)
        values = {key: value for key, value in dumped.items() if key not in NOT_OF_A_MODEL}
        start = (spec.arch, variant.start)
        return cls(name, start, spec.has_cls, spec.has_distilled, variant.trained, values)

    def differs_in(self, other: "Setting") -> set[str]:
        """Name what tells two settings apart."""
        keys = self.values.keys() | other.values.keys()
        names = {key for key in keys if self.values.get(key) != other.values.get(key)}
        return names | ({"backbone"} if self.backbone != other.backbone else set())


Settings = Sequence[Setting]
Wanted = Callable[[Setting], bool]


def settings_of(models: Mapping[str, Sequence[Irt]]) -> list[Setting]:
    """Return the setting of every row, variants first."""
    return [Setting.of(name, by_seed[0]) for name, by_seed in models.items()]


def pairs(
    settings: Settings, first: Wanted, second: Wanted, differing: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Yield the names of two trained models, the one as `first` and the other as `second` wants.

    They are told apart by the first of `differing`, and by no more than its other names.
    """
    for one in settings:
        for other in settings:
            if one.trained and other.trained and first(one) and second(other):
                names = one.differs_in(other)
                if differing[0] in names and names <= set(differing):
                    yield one.name, other.name


def first_pair(
    settings: Settings, first: Wanted, second: Wanted, differing: Sequence[str]
) -> tuple[str, str] | None:
    """Return the first of `pairs`; None where there is none."""
    return next(pairs(settings, first, second, differing), None)


def spectra(settings: Settings, most: int = 12) -> list[str]:
    """Name whose spectra are drawn together: all, or of many those that differ in backbone and lambda alone.

    They are compared with the first that is trained; what is not trained may differ from it in that.
    """
    trained = [setting for setting in settings if setting.trained]
    if len(settings) <= most or not trained:
        return [setting.name for setting in settings][:most]
    alike = {"backbone", "pooling", "lambda"}
    names = [
        setting.name
        for setting in settings
        if setting.differs_in(trained[0]) <= (alike if setting.trained else {*alike, "train"})
    ]
    return names[:most]


def groups(settings: Settings, along: Field) -> list[list[Setting]]:
    """Return the trained settings that differ in `along` alone, by rising value; three or more, each value once."""
    left, found = [setting for setting in settings if setting.trained], []
    while left:
        head, *rest = left
        same = [other for other in rest if other.differs_in(head) == {along}]
        left = [other for other in rest if other not in same]
        once = {setting.values[along]: setting for setting in reversed([head, *same])}
        if len(once) > 2:
            found.append([once[value] for value in sorted(once)])
    return found
