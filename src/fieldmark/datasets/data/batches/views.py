"""Training pictures in a fixed number of augmented views, so that what is computed from a view can be kept."""

from dataclasses import dataclass
from typing import Self

from fieldmark.datasets.data.batches.loading import PictureDataset, Slice, mix

VIEWS_SEED = 0  # not the seed of a training: trainings with several seeds share the views


@dataclass(eq=False)
class ViewDataset(PictureDataset):
    """Batches as `PictureDataset` makes them, but each picture is seen in one of `views` fixed views.

    View v of a picture depends only on v and on the row of the picture. Which view is taken depends only on `seed`,
    the step and the index in the global batch.
    """

    views: int = 1

    def view_of(self, part: Slice, index: int) -> int:
        """Return which view the item `index` of a slice is seen in."""
        return mix(self.seed, part.step, part.first + index) % self.views

    def seed_of(self, part: Slice, index: int) -> int:
        """Return the seed of the transform of the item `index` of a slice: that of its view."""
        return mix(VIEWS_SEED, int(self.rows[part.indices[index]]), self.view_of(part, index))


class EveryView(ViewDataset):
    """Every view of every picture of another data set: item n is view n % `views` of picture n // `views`."""

    @classmethod
    def of(cls, pictures: ViewDataset) -> Self:
        """Return all views of `pictures`."""
        rows, labels = (column.repeat(pictures.views) for column in (pictures.rows, pictures.labels))
        return cls(pictures.store, rows, labels, pictures.transform, pictures.seed, pictures.views)

    def view_of(self, part: Slice, index: int) -> int:
        """Return which view the item `index` of a slice is."""
        return part.indices[index] % self.views
