"""How fast the teacher follows."""

import math


def teacher_momentum(start: float, step: int, steps: int) -> float:
    """Return the teacher's momentum of eq. 8: from `start` at step 0 along a cosine to 1 at the end."""
    return 1.0 - (1.0 - start) * 0.5 * (1.0 + math.cos(math.pi * step / steps))
