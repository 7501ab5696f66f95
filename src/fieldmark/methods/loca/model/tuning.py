"""The block `loca.dense.finetune`: how backbone and decoder are trained together on masks."""

from typing import Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from fieldmark.engine.params import TrainParams, TrainRecipe


class TuneParams(TrainRecipe):
    """A recipe and its seed. Its length may be counted in passes over the labelled pictures, however many they are."""

    seed: int = Field(0, ge=0)

    @model_serializer(mode="wrap")
    def _length_once(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out the steps where passes are given: what is saved with a model is read again."""
        content: dict[str, Any] = plain(self)
        if self.passes is not None:
            del content["steps"]
        return content

    def recipe(self, pictures: int) -> TrainParams:
        """Return the recipe in steps, for so many labelled pictures."""
        return TrainParams(**self.for_pictures(pictures).model_dump())
