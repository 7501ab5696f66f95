"""A card for each trained model: what it is, what it was made from, what was measured, and what it is not good for.

The report writes them, for it alone has numbers, backbones, data sets and parameters together; training, whose folder
the model lies in, knows no number yet. They are text, and Git keeps them: a change of a model is reviewed there.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fieldmark.base.files import write_text
from fieldmark.reporting import formatting
from fieldmark.reporting.formatting import markdown, markdown_table
from fieldmark.reporting.reading import Results
from fieldmark.results.schema import MethodResult, NetworkResult, SavedModels, VariantResult

# What the owners of a data set ask, by source; of the others the terms are the user's own to know.
TERMS = {
    "world": "rendered by this project, under its licence",
    "folder": "your own photographs: their terms are yours to know",
    "masks": "your own photographs: their terms are yours to know",
    "sop": "Stanford Online Products: the terms in the archive's LICENSE; the photographs belong to the sellers",
    "inshop": "DeepFashion In-Shop: non-commercial research and teaching, by agreement",
    "cub200": "CUB-200-2011: non-commercial research and teaching; the photographs belong to their photographers",
}
OTHER_TERMS = (
    "the terms of its publisher, which whoever got it has accepted; look there before you pass the model on"
)
OURS = "data/pretrained/"


def write_cards(results: Results, folder: Path) -> None:
    """Write `folder/<method>/<variant>.md` for every model that an evaluation names."""
    for result in results.methods:
        for name in result.models:
            write_text(folder / result.method / f"{name}.md", render_card(results, result, name))


def render_card(results: Results, result: MethodResult, name: str) -> str:
    """Return the card of the models of a variant, an arm or a student of a method, in Markdown."""
    saved, variant = result.models[name], _variant(result, name)
    title = f": {variant.title}" if variant.title else ""
    parts = [
        f"# {markdown(name + title)}",
        f"A model of **{markdown(result.title)}**.",
        *([f"**{markdown(results.note)}**"] if results.note else []),
        "\n".join(f"- {line}" for line in _facts(results, result, variant, saved)),
        "## How to load it",
        f"```python\nimport fieldmark\n\nmodel = fieldmark.load({f'{saved.folder}/{saved.seeds[0]}'!r})\n```",
        "Its weights are a file of safetensors, which runs no code when it is read; `model.json` beside them has every "
        "parameter it was trained with, and the size at which it sees pictures.",
        "## Measured",
        f"On the test pictures of split `{result.split}` of `{result.dataset}`. "
        "Values are in per cent unless whole numbers; intervals are of 95 %.",
        _measures(variant),
        *_transfers(results, result, name),
        "## Limits",
        "\n".join(f"- {line}" for line in _limits(result, saved)),
        "## Licences",
        "\n".join(f"- {line}" for line in _licences(results, result, variant)),
    ]
    return "\n\n".join(parts) + "\n"


def _variant(result: MethodResult, name: str) -> VariantResult:
    """Return what was measured of a variant; one without a measure where evaluation has left it out."""
    found = [variant for variant in result.variants if variant.name == name]
    return found[0] if found else VariantResult(name=name, measures={})


def _facts(
    results: Results, result: MethodResult, variant: VariantResult, saved: SavedModels
) -> Iterator[str]:
    seeds = ", ".join(map(str, saved.seeds))
    yield f"weights: `{saved.folder}/SEED`, {'seeds' if len(saved.seeds) > 1 else 'seed'} {seeds}"
    precision = f" in {result.precision}" if result.precision else ""
    yield f"training: {formatting.plain(saved.steps)} steps{precision}" if saved.steps else "not trained here"
    start = _start(results, result, variant)
    yield (
        f"backbone: `{start}`{_network(results, start)}"
        if start
        else "backbone: none, it starts from random weights"
    )
    if result.text not in ("", "none"):
        yield f"text that the method reads: `{result.text}`"
    counts = ", ".join(f"{formatting.count(value)} {markdown(name)}" for name, value in result.counts.items())
    seen = ", cut to boxes" if result.region == "box" else ""
    yield f"data: `{result.dataset}`{seen}, split `{result.split}`{f' ({counts})' if counts else ''}"


def _start(results: Results, result: MethodResult, variant: VariantResult) -> str:
    """Return the backbone that the model starts from; a method whose block builds a network of its own has none."""
    own = _item({"all": results.params}, "all", result.method).get("arch")
    return "" if own else variant.backbone or result.backbone


def _network(results: Results, start: str) -> str:
    network = _named(results, start)
    if network is None:
        return ""
    size = f", {formatting.plain(network.parameters)} weights" if network.parameters else ""
    return f" ({markdown(network.arch)}{size}, from {markdown(network.weights or 'nothing')})"


def _named(results: Results, start: str) -> NetworkResult | None:
    kind, _, name = start.partition("/")
    found = [network for network in results.backbones if kind == "backbones" and network.name == name]
    return found[0] if found else None


def _measures(variant: VariantResult) -> str:
    if not variant.measures:
        return "Nothing was measured of it alone."
    rows = []
    for name, measure in sorted(variant.measures.items()):
        fraction = formatting.is_fraction(measure.value)
        value = formatting.number(measure.value, fraction)
        rows.append(
            [markdown(name), value, formatting.interval_text(measure, fraction) or formatting.MISSING]
        )
    return markdown_table(["measure", "value", "interval"], rows)


def _transfers(results: Results, result: MethodResult, name: str) -> Iterator[str]:
    """Yield what was measured of the model on other data."""
    for other in results.methods:
        if other.method.startswith(f"{result.method} on "):
            for variant in other.variants:
                if variant.name == name:
                    yield f"On split `{other.split}` of `{other.dataset}`, on which it was not trained:"
                    yield _measures(variant)


def _limits(result: MethodResult, saved: SavedModels) -> Iterator[str]:
    yield (
        f"It has seen pictures of `{result.dataset}` alone. Of pictures of another kind, or classes that differ in "
        "other things, these numbers say nothing: measure it on yours (`transfer` in params.yaml)."
    )
    if len(saved.seeds) == 1:
        yield "One training seed: another one may give other numbers, beyond the intervals."
    yield "It always answers: it does not know that a picture shows nothing of what it has learnt."
    yield from (markdown(note) for note in result.notes)


def _licences(results: Results, result: MethodResult, variant: VariantResult) -> Iterator[str]:
    yield "code: that of this project, `LICENSE`"
    source = _item(results.params, "datasets", result.dataset).get("source", "")
    yield f"pictures of `{result.dataset}`: {TERMS.get(source, OTHER_TERMS)}"
    start = _start(results, result, variant)
    if not start:
        return
    item = _item(results.params, *start.partition("/")[::2])
    weights = item.get("weights")
    if weights is None:
        terms = "made here, from nothing but the pictures above or those of its own item in params.yaml"
    elif str(weights).startswith(OURS):
        terms = "shipped with this project, under its licence"
    elif weights == "library":
        terms = (
            f"those that its library publishes for `{item.get('arch')}`, under the terms on the page of these weights "
            "(the library's own licence is not always theirs)"
        )
    else:
        terms = f"the terms of `{Path(str(weights)).name}`, which are those of its publisher"
    yield f"weights of `{start}`: {terms}"


def _item(params: Mapping[str, Any], block: str, name: str) -> Mapping[str, Any]:
    items = params.get(block)
    item = items.get(name) if isinstance(items, Mapping) else None
    return item if isinstance(item, Mapping) else {}
