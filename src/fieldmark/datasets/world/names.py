"""Invented names: genera of both worlds, and the adjective that tells a species from its siblings."""

SPECIES_GENERA = (
    "Talbit", "Corvane", "Mirrel", "Sandrook", "Quillet", "Vesperling", "Brackwit", "Harrack",
    "Pipistel", "Fenlark", "Dunnick", "Ostrelle", "Marrowby", "Whinlet", "Kestwick", "Tirrip",
    "Alderick", "Bramblet", "Seldrake", "Lorrimer", "Chaffery", "Nuttern", "Gorsel", "Wimbrel",
)  # fmt: skip

BASE_GENERA = (
    "Puddleback", "Hollin", "Carrakeet", "Grandbeak", "Dovelet", "Skerrymew", "Tarsk", "Hummet",
    "Rosewader", "Longtrain", "Crawe", "Ladlebill", "Broadock", "Murkin", "Arralet", "Tookan",
    "Ringdow", "Saltmew", "Harl", "Zinzin", "Flamel", "Tragoon", "Krack", "Paddler",
)  # fmt: skip

SPARE_ADJECTIVES = (
    "Common", "Northern", "Lesser", "Island", "Marsh", "Hermit", "Royal", "Eastern", "Upland", "Greater",
    "Lowland", "Forest", "Western", "Coastal", "Southern", "Mountain", "Plain", "Desert", "River", "Heath",
)  # fmt: skip

_COLOURED_PART = {
    "crown_colour": "crowned",
    "throat_colour": "throated",
    "breast_colour": "breasted",
    "belly_colour": "bellied",
    "bill_colour": "billed",
    "leg_colour": "legged",
    "rump_colour": "rumped",
}
_WORDS = {
    "wing_bars": {"none": "Plain-winged", "one": "Bar-winged", "two": "Double-barred"},
    "eye_ring": {"none": "Plain-eyed", "white": "White-eyed", "yellow": "Gold-ringed", "red": "Red-ringed"},
    "face": {
        "plain": "Plain-faced",
        "eye line": "Line-eyed",
        "mask": "Masked",
        "eyebrow": "Browed",
        "moustache": "Moustached",
        "cheek patch": "Cheeked",
    },
    "breast_pattern": {
        "plain": "Clear-breasted",
        "streaked": "Streaked",
        "spotted": "Spotted",
        "banded": "Banded",
    },
    "tail_tip": {"none": "Plain-tailed"},
    "wing_patch": {"none": "Dusky-winged"},
}


def adjective(mark: str, value: str) -> str:
    """Return the adjective for one field mark, such as Ochre-crowned, Masked or White-tipped."""
    if mark in _COLOURED_PART:
        return f"{value.capitalize()}-{_COLOURED_PART[mark]}"
    if value in _WORDS[mark]:
        return _WORDS[mark][value]
    return f"{value.capitalize()}-{'tipped' if mark == 'tail_tip' else 'winged'}"
