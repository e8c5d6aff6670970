"""Cut a model into shards in place, by torch's ``fully_shard``, and join it again.

Zhao et al. 2023, PyTorch FSDP (arXiv:2304.11277), in its second form. Difference: the way back, which torch does not
have: after `Shards.join` the model is of its own classes and has its own parameters, whole.

Conventions: a parameter is cut along its first dimension that the number of processes divides, else along its first,
unevenly. Buffers stay whole. Blocks are gathered one after another, the rest of the model with its forward.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, Shard

LARGE = 1 / 4  # of all weights: a block above it is cut further where it has blocks inside
SMALL = 1 / 1_000  # below it a block is not worth an exchange of its own


def blocks(model: nn.Module) -> dict[str, nn.Module]:
    """The modules whose weights are gathered one after another; what is outside of them is gathered with the model.

    A block is a child of an ``nn.Sequential`` or ``nn.ModuleList`` that has a sibling of its class there, holds at
    least ``SMALL`` of the weights and shares none with the rest of the model. Of blocks within one another the
    outermost counts, unless it holds more than ``LARGE`` of the weights.

    Returns
    -------
    dict of str to nn.Module
        By name, in the order of the model.

    Examples
    --------
    >>> vit = nn.ModuleDict({"embed": nn.Linear(4, 8), "blocks": nn.Sequential(*(nn.Linear(8, 8) for _ in range(3)))})
    >>> list(blocks(vit))
    ['blocks.0', 'blocks.1', 'blocks.2']
    """
    users: dict[nn.Parameter, set[nn.Module]] = defaultdict(set)
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            users[parameter].add(module)
    total = _size(model)

    def within(parent: nn.Module, prefix: str) -> dict[str, nn.Module]:
        kinds = Counter(map(type, parent.children())) if isinstance(parent, nn.Sequential | nn.ModuleList) else {}
        found: dict[str, nn.Module] = {}
        for name, child in parent.named_children():
            inner, inside = within(child, f"{prefix}{name}."), set(child.modules())
            repeated = kinds.get(type(child), 0) > 1 and _size(child) >= max(1, SMALL * total)
            callable_ = type(child).forward is not nn.Module.forward
            own = all(users[parameter] <= inside for parameter in child.parameters())
            fits = _size(child) <= LARGE * total or not inner
            found |= {f"{prefix}{name}": child} if repeated and callable_ and own and fits else inner
        return found

    return within(model, "")


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


class Shards:
    """A model cut into shards in place, and what it takes to join it again.

    Parameters
    ----------
    model : nn.Module
        On its device; the weights of the first process count. Some may be frozen or used in two places.

    Raises
    ------
    ValueError
        Without the processes of a launcher, for a model that cannot be called, a parameter without dimensions, or a
        model in shards already.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        _check(model)
        self.before = [(module, type(module), set(vars(module)), _hooks(module)) for module in model.modules()]
        self.places: dict[nn.Parameter, list[tuple[nn.Module, str]]] = defaultdict(list)
        for module in model.modules():
            for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
                self.places[parameter].append((module, name))
        self.strides = {parameter: parameter.stride() for parameter in self.places}
        for parameter in self.places:
            parameter.data, parameter.grad = parameter.data.contiguous(), None
        for tensor in [*self.places, *model.buffers()]:
            share(tensor.detach())
        device = next(iter(self.places)).device.type
        mesh = distributed.init_device_mesh(device, (distributed.get_world_size(),))
        for part in [*blocks(model).values(), model]:
            part.register_forward_hook(_owned)
            fully_shard(part, mesh=mesh, shard_placement_fn=_cut)
        for parameter in self.places:
            parameter.data = parameter.data.new_empty(0)
        self.added = [set(vars(module)) - names for module, _, names, _ in self.before]

    def now(self, parameter: nn.Parameter) -> nn.Parameter:
        """The shard that stands in the place of one of the model's own parameters."""
        module, name = self.places[parameter][0]
        held = module._parameters[name]
        assert held is not None
        return held

    @torch.no_grad()
    def join(self) -> None:
        """Give the model its own parameters back, with the whole weights; all processes have to take part."""
        for module in self.model.modules():
            if isinstance(module, FSDPModule):
                module.reshard()
        for parameter, places in self.places.items():
            held = self.now(parameter)
            whole = held.full_tensor() if isinstance(held, DTensor) else held.detach()
            parameter.data = whole.new_empty_strided(whole.shape, self.strides[parameter]).copy_(whole)
            for module, name in places:
                module._parameters[name] = parameter
        for (module, kind, _, hooks), names in zip(self.before, self.added, strict=True):
            module.__class__ = kind
            for name in names:
                vars(module).pop(name, None)
            for name, keys in hooks.items():  # in place: who may remove a hook holds the dict
                for key in set(vars(module)[name]) - keys:
                    del vars(module)[name][key]
            _forget(module)


def _check(model: nn.Module) -> None:
    """Raise a ValueError for what cannot be cut."""
    name = own_name(model)
    if not distributed.is_initialized():
        raise ValueError("shards need the processes of a launcher, got one process; "
                         "start python -m lib.reproduce.many … --shard")  # fmt: skip
    if any(isinstance(module, FSDPModule) for module in model.modules()):
        raise ValueError(f"model {name} is in shards already, since an earlier fit ended with an error; make a new one")
    if type(model).forward is nn.Module.forward:
        raise ValueError(f"model must be called as model(...) to be trained in shards, got a {name} without forward; "
                         "give it one, or train it without --shard")  # fmt: skip
    scalars = [name for name, parameter in model.named_parameters() if parameter.ndim == 0]
    if scalars:
        raise ValueError(f"parameters must have a dimension to be cut into shards, got the scalar {', '.join(scalars)};"
                         " give it the shape (1,), or train without --shard")  # fmt: skip


def own_name(model: nn.Module) -> str:
    """The name of a model's class, also while it is in shards."""
    return type(model).__name__.removeprefix("FSDP") if isinstance(model, FSDPModule) else type(model).__name__


def share(tensor: Tensor) -> None:
    """Give all processes the values of the first."""
    whole = tensor.contiguous()
    distributed.broadcast(whole, src=0)
    if whole is not tensor:
        tensor.copy_(whole)


def _cut(parameter: nn.Parameter) -> Shard:
    size = distributed.get_world_size()
    return Shard(next((dim for dim, n in enumerate(parameter.shape) if n % size == 0), 0))


def _owned(module: nn.Module, inputs: Any, output: Any) -> Any:
    """Outputs that are no views: an operation in place on a view would lose the hook that gathers for backward."""
    if isinstance(output, Tensor):
        return output.clone() if output.requires_grad and output._is_view() else output
    if type(output) is dict:
        return {name: _owned(module, inputs, value) for name, value in output.items()}
    return type(output)(_owned(module, inputs, value) for value in output) if type(output) in (list, tuple) else output


def _hooks(module: nn.Module) -> dict[str, set[Any]]:
    return {name: set(value) for name, value in vars(module).items() if "_hooks" in name and isinstance(value, dict)}


def _forget(module: nn.Module) -> None:
    """Let a module be cut a second time; torch, which knows no way back, keeps a table of those that were."""
    from torch.distributed import _composable_state

    _composable_state._module_state_mapping.pop(module, None)
