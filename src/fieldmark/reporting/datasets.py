"""What the report says of a data set, from its summary, its validation and its audit, whichever of these exist."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fieldmark.reporting.audit import audit_rows
from fieldmark.reporting.formatting import plain
from fieldmark.reporting.reading import DatasetResult

FACTS = ("pictures", "classes", "groups", "captions", "boxes", "masks")
NAMED = 3  # groups of equal pictures
KINDS = {"files": "left out", "annotations": "annotations left out", "captions": "captions left out"}
SHOWN = 12  # reasons why files were left out, each for one class


@dataclass(frozen=True)
class Check:
    """One expectation of the validation: its table, what was expected, how it went."""

    table: str
    name: str
    success: bool
    severity: str
    details: str


@dataclass(frozen=True)
class RoleView:
    """One role of one split: numbers as text."""

    split: str
    role: str
    pictures: str
    classes: str
    per_class: str


@dataclass(frozen=True)
class ClassBar:
    """How often a class occurs among the training pictures: `percent` is relative to the most frequent class."""

    name: str
    group: str
    count: str
    percent: float


@dataclass(frozen=True)
class Frequencies:
    """The classes of a long-tailed split, the most frequent first; `legend` names the groups."""

    split: str
    legend: Sequence[tuple[str, str]]
    bars: Sequence[ClassBar]


@dataclass(frozen=True)
class DatasetView:
    """One data set's card: `facts` in large type, `details` in small, `checks` with failed ones first."""

    name: str
    facts: Sequence[tuple[str, str]]
    details: Sequence[tuple[str, str]]
    roles: Sequence[RoleView]
    frequencies: Sequence[Frequencies]
    checks: Sequence[Check]
    failed: int
    warned: int


def dataset_view(result: DatasetResult) -> DatasetView:
    """Gather what summary, validation and audit say; keys that are absent are left out."""
    summary, validation = result.summary, result.validation
    checks = sorted((_check(item) for item in _list(validation.get("expectations"))), key=lambda c: c.success)
    broken = [check for check in checks if not check.success]
    warned = sum(check.severity == "warning" for check in broken)
    facts = [(name, plain(summary[name])) for name in FACTS if summary.get(name)]
    if "rejected" in summary:
        facts.append(("rejected", plain(summary["rejected"])))
    return DatasetView(
        name=result.name,
        facts=facts,
        details=[
            *_details(summary, _mapping(validation.get("balance"))),
            *_absent(_mapping(validation.get("left_out"))),
            *audit_rows(result.audit),
        ],
        frequencies=_frequencies(validation),
        roles=_roles(_mapping(validation.get("splits"))),
        checks=checks,
        failed=len(broken) - warned,
        warned=warned,
    )


def _details(summary: Mapping[str, Any], balance: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = []
    spread = _spread({**summary, **balance})
    if spread:
        rows.append(("pictures per class", spread))
    if isinstance(balance.get("imbalance"), int | float):
        rows.append(("largest class over smallest", f"{balance['imbalance']:.3g}"))
    if isinstance(balance.get("labels_per_picture"), int | float):
        rows.append(("labels per picture", f"{balance['labels_per_picture']:.2f}"))
        rows.append(("pictures without a label", plain(balance.get("unlabelled", "–"))))
    groups = [" = ".join(map(str, _list(group))) for group in _list(summary.get("duplicates"))]
    rows += _left_out(summary)
    if groups:
        more = f"; and {len(groups) - NAMED} more" if len(groups) > NAMED else ""
        rows.append(("equal pictures", "; ".join(groups[:NAMED]) + more))
    return rows


def _left_out(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return how many files were seen and used, why the others were not, and which classes went with them."""
    accounts = [_mapping(one) for one in _list(summary.get("left_out"))]
    if "pictures" not in summary:
        return []
    total = sum(int(one.get("files", 0)) for one in accounts)
    used = int(summary["pictures"])
    rows = [("files", f"{plain(used + total)} seen, {plain(used)} used, {plain(total)} left out")]
    for kind, title in KINDS.items():
        of_kind = [_account(one, kind) for one in accounts if kind in one]
        if of_kind:
            more = f"; and {len(of_kind) - SHOWN} more" if len(of_kind) > SHOWN else ""
            rows.append((title, "; ".join(of_kind[:SHOWN]) + more))
    lost = [str(name) for name in _list(summary.get("lost_classes"))]
    if lost:
        rows.append(("classes without a picture left", ", ".join(lost)))
    similar = [" and ".join(map(str, _list(group))) for group in _list(summary.get("names_alike"))]
    if similar:
        rows.append(("names of classes that look alike", "; ".join(similar)))
    return rows


def _absent(splits: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return which pictures take no part in a split: those equal to one in another role count there."""
    rows = []
    for name, value in sorted(splits.items()):
        facts = _mapping(value)
        text = f"{plain(facts.get('pictures', 0))} pictures"
        if facts.get("copies"):
            named = ", ".join(map(str, _list(facts.get("ids"))))
            text += f", of which {plain(facts['copies'])} equal one in another role of the source's split: {named}"
        rows.append((f"no part in {name}", text))
    return rows


def _account(one: Mapping[str, Any], kind: str) -> str:
    endings = ", ".join(f"{plain(count)} {ending}" for ending, count in _mapping(one.get("endings")).items())
    of_class = f" of {one['class']}" if one.get("class") else ""
    text = f"{plain(one.get(kind, 0))}{of_class}: {one.get('reason', 'no reason given')}"
    return f"{text} ({endings})" if endings else text


def _frequencies(validation: Mapping[str, Any]) -> list[Frequencies]:
    """Return the frequencies of every long-tailed split: training pictures are those of train and val."""
    splits = _mapping(validation.get("splits"))
    return [
        _frequency(name, _mapping(groups), _mapping(splits.get(name)))
        for name, groups in sorted(_mapping(validation.get("groups")).items())
    ]


def _frequency(split: str, groups: Mapping[str, Any], roles: Mapping[str, Any]) -> Frequencies:
    counted = [_mapping(_mapping(roles.get(role)).get("counts")) for role in ("train", "val")]
    of_class = {
        str(name): (group, sum(int(counts.get(name, 0)) for counts in counted))
        for group in ("head", "medium", "tail")
        for name in _list(groups.get(group))
    }
    largest = max((count for _, count in of_class.values()), default=1) or 1
    limits = _mapping(groups.get("thresholds"))
    legend = [
        ("head", f"head: at least {plain(limits.get('head', '–'))} training pictures"),
        ("medium", "medium: in between"),
        ("tail", f"tail: fewer than {plain(limits.get('tail', '–'))}"),
    ]
    bars = [
        ClassBar(name, group, plain(count), 100 * count / largest)
        for name, (group, count) in of_class.items()
    ]
    return Frequencies(split, legend, bars)


def _roles(splits: Mapping[str, Any]) -> list[RoleView]:
    return [
        _role(split, role, _mapping(facts))
        for split, roles in sorted(splits.items())
        for role, facts in sorted(_mapping(roles).items(), key=_train_first)
    ]


def _role(split: str, role: str, facts: Mapping[str, Any]) -> RoleView:
    pictures, classes = plain(facts.get("pictures", "–")), plain(facts.get("classes", "–"))
    return RoleView(split, role, pictures, classes, _spread(facts))


def _train_first(item: tuple[str, Any]) -> tuple[bool, str]:
    return item[0] != "train", item[0]


def _spread(facts: Mapping[str, Any]) -> str:
    spread = _mapping(facts.get("pictures_per_class"))
    if not {"least", "most"} <= spread.keys():
        return ""
    smallest, largest = plain(spread["least"]), plain(spread["most"])
    return smallest if smallest == largest else f"{smallest} to {largest}"


def _check(item: Any) -> Check:
    entry = _mapping(item)
    named = ", ".join(map(str, _list(entry.get("ids"))))
    success = entry.get("success") is True
    details = [] if success else [named, plain(entry.get("observed", ""))]
    return Check(
        table=str(entry.get("table", "")),
        name=str(entry.get("expectation", "unnamed expectation")),
        success=success,
        severity=str(entry.get("severity", "critical")),
        details="; ".join(text for text in details if text),
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
