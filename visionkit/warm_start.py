"""Weights of an earlier training that a new one begins with."""

from pathlib import Path

from torch import nn

from visionkit.encoders.weights import read_weights
from visionkit.errors import ConfigError

_NAMED = 3


def start_from(network: nn.Module, place: str | Path) -> str:
    """Copies every tensor of the same name and shape, and says in a line which ones begin anew.

    Args:
        network: its other tensors stay as they are, such as a head for other classes.
        place: folder of a run or of a bundle, or a file of weights.

    Raises:
        ConfigError: C94 not one weight fits, C23 and C24 as ``read_weights``.
        UnsafeFileError: U20 the file asks to run code.
    """
    state = network.state_dict()
    found = read_weights(place)
    fitting = {name: value for name, value in found.items() if name in state and value.shape == state[name].shape}
    weights = [name for name, _ in network.named_parameters()]
    anew = [name for name in weights if name not in fitting]
    if len(anew) == len(weights):
        fix = "choose the encoder and tasks that it was trained with (an encoder alone: encoder.weights=)"
        raise ConfigError("C94", f"start_from={place}", "not one weight fits this network", fix)
    network.load_state_dict(fitting, strict=False)  # only what was found: some parts ask what they were given
    begun = f"starts from {place}: {len(weights) - len(anew)} of {len(weights)} weights"
    named = ", ".join(anew[:_NAMED]) + (", ..." if anew[_NAMED:] else "")
    return f"{begun}; new: {named}" if anew else begun
