"""Weights of VMamba and Vim as their authors released them, under the names that they have here."""

import re

import torch

from visionkit.encoders.released import Tensors, renamed

_VMAMBA = (
    (r"^patch_embed\.", "stem."),
    (r"^stem\.2\.", "stem.1."),
    (r"^stem\.5\.", "stem.3."),
    (r"^stem\.7\.", "stem.4."),
    (r"^layers\.(\d)\.downsample\.1\.", r"downs.\1.0."),
    (r"^layers\.(\d)\.downsample\.3\.", r"downs.\1.1."),
    (r"^layers\.(\d)\.blocks\.", r"stages.\1."),
    (r"\.norm\.", ".norm1."),
    (r"\.mlp\.fc1\.", ".mlp.0."),
    (r"\.mlp\.fc2\.", ".mlp.2."),
    (r"\.op\.out_norm\.", ".scan.norm."),
    (r"\.op\.conv2d\.", ".scan.conv."),
    (r"\.op\.(in|out)_proj\.", r".scan.\1_proj."),
    (r"\.op\.x_proj_weight$", ".scan.ssm.input_proj"),
    (r"\.op\.dt_projs_weight$", ".scan.ssm.step_proj"),
    (r"\.op\.dt_projs_bias$", ".scan.ssm.step_bias"),
    (r"\.op\.A_logs$", ".scan.ssm.A_log"),
    (r"\.op\.Ds$", ".scan.ssm.D"),
)
_VIM = (
    (r"^patch_embed\.proj\.", "patches."),
    (r"^layers\.", "blocks."),
    (r"\.mixer\.conv1d\.", ".mixer.conv."),
    (r"\.mixer\.x_proj\.weight$", ".mixer.ssm.input_proj"),
    (r"\.mixer\.dt_proj\.weight$", ".mixer.ssm.step_proj"),
    (r"\.mixer\.dt_proj\.bias$", ".mixer.ssm.step_bias"),
    (r"\.mixer\.(A_log|D)$", r".mixer.ssm.\1"),
)
_BACKWARD = re.compile(r"_b(?=_log$|$|\.weight$|\.bias$)")
"""What marks the parameters of Vim's backward branch: ``conv1d_b.weight``, ``A_b_log``, ``D_b``."""


def of_vmamba(tensors: Tensors) -> Tensors:
    """Tensors of ``VMambaBody`` from a classifier of github.com/MzeroMiko/VMamba."""
    return renamed({name: value for name, value in tensors.items() if not name.startswith("classifier.")}, _VMAMBA)


def of_vim(tensors: Tensors) -> Tensors:
    """Tensors of ``VimBody`` from a classifier of github.com/hustvl/Vim: the two branches of a block become one."""
    joined: Tensors = {}
    for name, value in tensors.items():
        plain = _BACKWARD.sub("", name)
        if plain == name and not name.startswith(("norm_f.", "head.")):
            joined[name] = value
        elif plain in joined:
            joined[plain] = torch.cat([joined[plain], value])
    return renamed(joined, _VIM)
