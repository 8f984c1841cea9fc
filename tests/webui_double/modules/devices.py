import contextlib

import torch

device = cpu = torch.device("cpu")
dtype = dtype_unet = dtype_vae = torch.float32
fp8 = False


def autocast():
    return contextlib.nullcontext()
