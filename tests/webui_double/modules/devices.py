import contextlib

import torch

device = cpu = device_interrogate = torch.device("cpu")
dtype = dtype_unet = dtype_vae = torch.float32
fp8 = False


def autocast():
    return contextlib.nullcontext()


def torch_gc():
    pass
