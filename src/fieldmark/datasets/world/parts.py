"""The labels of the masks."""

PARTS = (
    "background",
    "body",
    "head",
    "crown",
    "bill",
    "eye",
    "wing",
    "tail",
    "legs",
    "breast",
    "belly",
    "occluder",
    "object",
)
LABEL = {name: index for index, name in enumerate(PARTS)}
