"""The block `loca.dense.finetune`: how backbone and decoder are trained together on masks."""

from pydantic import Field

from fieldmark.engine.params import TrainParams, TrainRecipe


class TuneParams(TrainRecipe):
    """A recipe and its seed. Its length may be counted in passes over the labelled pictures, however many they are."""

    seed: int = Field(0, ge=0)

    def recipe(self, pictures: int) -> TrainParams:
        """Return the recipe in steps, for so many labelled pictures."""
        return TrainParams(**self.for_pictures(pictures).model_dump())
