"""Reading files of weights: what is absent, not fetched, cut off or of another network is told in one line."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from fieldmark.base.errors import UserError
from fieldmark.base.files import require_fetched


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file. Raises UserError when it is absent, not fetched, cut off, or of another format."""
    require_fetched(path)
    try:
        return load_file(path)
    except (SafetensorError, ValueError, OSError) as error:
        raise UserError(
            f"{path} is no safetensors file, or not all of it ({_first_line(error)}); "
            "get it again, or convert it from another format"
        ) from None


def load_tensors(network: nn.Module, path: Path) -> None:
    """Load all weights of a network from a safetensors file. Raises UserError when they are not exactly its own."""
    try:
        network.load_state_dict(read_tensors(path))
    except RuntimeError as error:
        detail = " ".join(str(error).split())[:160]
        raise UserError(
            f"the weights in {path} do not fit the network described beside them ({detail}); "
            "get the folder again, or make it again"
        ) from None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
