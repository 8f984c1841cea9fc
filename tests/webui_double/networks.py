"""The built-in Lora: networks are written into the weights at a layer's next forward, and taken out from a copy."""

import re
from pathlib import Path
from types import SimpleNamespace

import network
import torch
from modules import devices, shared
from safetensors.torch import load_file
from torch import nn

available_networks, networks_in_memory, loaded_networks = {}, {}, []
originals = {}
RESNET = {"conv1": "in_layers_2", "conv2": "out_layers_3", "time_emb_proj": "emb_layers_1", "conv_shortcut": "skip_connection"}


def compvis(key):
    """The WebUI's name of a layer for the name in a file, SD1."""
    if found := re.fullmatch(r"lora_te_text_model_(.+)", key):
        return f"transformer_text_model_{found[1]}"
    if found := re.fullmatch(r"lora_unet_(down|up)_blocks_(\d+)_(attentions|resnets)_(\d+)_(.+)", key):
        way, i, kind, j, rest = found[1], int(found[2]), found[3], int(found[4]), found[5]
        number = 1 + 3 * i + j if way == "down" else 3 * i + j
        return f"diffusion_model_{'input' if way == 'down' else 'output'}_blocks_{number}_{int(kind == 'attentions')}_{RESNET.get(rest, rest)}"
    if found := re.fullmatch(r"lora_unet_mid_block_(attentions|resnets)_(\d+)_(.+)", key):
        return f"diffusion_model_middle_block_{1 if found[1] == 'attentions' else 2 * int(found[2])}_{RESNET.get(found[3], found[3])}"
    if found := re.fullmatch(r"lora_unet_down_blocks_(\d+)_downsamplers_0_conv", key):
        return f"diffusion_model_input_blocks_{3 + 3 * int(found[1])}_0_op"
    if found := re.fullmatch(r"lora_unet_up_blocks_(\d+)_upsamplers_0_conv", key):
        return f"diffusion_model_output_blocks_{2 + 3 * int(found[1])}_{2 if int(found[1]) else 1}_conv"
    return key


def assign(sd):
    mapping = {name.replace(".", "_"): module for name, module in sd.cond_stage_model.wrapped.named_modules()}
    mapping.update({name.replace(".", "_"): module for name, module in sd.model.named_modules()})
    for name, module in mapping.items():
        module.network_layer_name = name
    sd.network_layer_mapping = mapping


class Module:
    def __init__(self, net, key, layer, tensors):
        self.network, self.network_key, self.sd_module = net, f"{key}.lora_up.weight", layer
        self.up, self.down = (tensors[f"{key}.lora_{part}.weight"].to(devices.dtype, copy=True) for part in ("up", "down"))
        self.scale = float(tensors[f"{key}.alpha"]) / self.down.shape[0]
        self.text = key.startswith("lora_te")

    def calc_updown(self, weight):
        strength = self.network.te_multiplier if self.text else self.network.unet_multiplier
        updown = self.up.flatten(1) @ self.down.flatten(1)
        return updown.reshape(weight.shape) * self.scale * strength, None


def load_network(name, on_disk):
    net = SimpleNamespace(name=name, network_on_disk=on_disk, te_multiplier=1.0, unet_multiplier=1.0, dyn_dim=None, modules={}, bundle_embeddings={})
    net.mtime = Path(on_disk.filename).stat().st_mtime
    tensors = load_file(on_disk.filename)
    for key in sorted({key.partition(".")[0] for key in tensors}):
        layer = shared.sd_model.network_layer_mapping.get(compvis(key))
        if layer is not None:
            net.modules[compvis(key)] = Module(net, key, layer, tensors)
    return net


def load_networks(names, te=None, unet=None, dyn=None):
    already = {net.name: net for net in loaded_networks}
    loaded_networks.clear()
    for index, name in enumerate(names):
        on_disk = available_networks.get(name)
        net = already.get(name)
        if on_disk and (net is None or Path(on_disk.filename).stat().st_mtime > net.mtime):
            net = load_network(name, on_disk)
        if net is not None:
            net.te_multiplier, net.unet_multiplier = te[index], unet[index]
            loaded_networks.append(net)


def network_apply_weights(layer):
    name = getattr(layer, "network_layer_name", None)
    current = getattr(layer, "network_current_names", ())
    wanted = tuple((net.name, net.te_multiplier, net.unet_multiplier, net.dyn_dim) for net in loaded_networks)
    if name is None or current == wanted:
        return
    if getattr(layer, "network_weights_backup", None) is None:
        layer.network_weights_backup = layer.weight.detach().clone()
    layer.weight.copy_(layer.network_weights_backup)  # without no_grad, as in the WebUI: weights that ask for gradients raise
    for net in loaded_networks:
        if name in net.modules:
            with torch.no_grad():
                layer.weight += net.modules[name].calc_updown(layer.weight)[0]
    layer.network_current_names = wanted


def list_available_networks():
    available_networks.clear()
    for file in Path(shared.cmd_opts.lora_dir).glob("*.safetensors"):
        available_networks[file.stem] = network.NetworkOnDisk(file.stem, str(file))


def patch():
    for kind in (nn.Linear, nn.Conv2d):
        originals[kind] = kind.forward

        def forward(self, x, _original=kind.forward):
            network_apply_weights(self)
            return _original(self, x)

        kind.forward = forward


def unpatch():
    for kind, forward in originals.items():
        kind.forward = forward
    originals.clear()
