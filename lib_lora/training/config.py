"""The settings of a training: what a job file holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lib_lora.core.settings import Pick, opt, pick, section
from lib_lora.dataset.config import BucketConfig, CaptionConfig, DataConfig
from lib_lora.networks.registry import networks
from lib_lora.training.optimizers import optimizers
from lib_lora.training.schedulers import schedulers


@dataclass(frozen=True)
class ModelConfig:
    """What the model is, where its own word should not be taken."""

    prediction: Literal["auto", "epsilon", "v"] = opt(
        "auto", "Prediction", "What the model predicts. auto reads it from the loaded checkpoint; a wrong choice trains grey pictures.", advanced=True
    )
    zero_terminal: Literal["auto", "yes", "no"] = opt(
        "auto", "Zero terminal SNR", "Whether the last noise step is pure noise. auto reads it from the checkpoint.", advanced=True
    )
    clip_skip: int = opt(
        0, "Clip skip", "Which text encoder layer is read, counted from the last (1). 0 takes the WebUI's own setting.", min=0, max=12, advanced=True
    )


@dataclass(frozen=True)
class LearningConfig:
    """How long and how fast it learns."""

    epochs: int = opt(10, "Epochs", "How often the whole set is gone through.", min=1, max=10000)
    batch_size: int = opt(1, "Batch size", "Pictures per forward pass. More needs more memory and learns more evenly.", min=1, max=64)
    accumulation: int = opt(
        1, "Gradient accumulation", "Passes whose gradients are added before a step: a larger batch without its memory.", min=1, max=256, advanced=True
    )
    unet_lr: float = opt(1e-4, "UNet learning rate", "1e-4 is usual for AdamW. 0 leaves the UNet as it is.", min=0, max=10)
    text_encoder_lr: float = opt(
        0.0, "Text encoder learning rate", "Half of the UNet's is usual. 0 leaves the text encoders as they are: faster, and less memory.", min=0, max=10
    )
    warmup_steps: int = opt(0, "Warm-up steps", "The learning rate rises from 0 over that many steps.", min=0, max=100000, advanced=True)
    max_grad_norm: float = opt(1.0, "Gradient clipping", "Longer gradients are cut to this length. 0 cuts nothing.", min=0, max=1000, advanced=True)
    seed: int = opt(42, "Seed", "The same seed, pictures and settings give the same LoRA.", min=0, max=2**32 - 1, advanced=True)


@dataclass(frozen=True)
class NoiseConfig:
    """What is added to the latents."""

    offset: float = opt(0.0, "Noise offset", "Lets very dark and very bright pictures be learnt. 0.05 to 0.1 is usual, 0 is off.", min=0, max=1, step=0.01)


@dataclass(frozen=True)
class LossConfig:
    """How the error is counted."""

    min_snr_gamma: float = opt(0.0, "Min-SNR gamma", "Weighs easy, low-noise steps less. 5 is usual, 0 is off.", min=0, max=100, advanced=True)


@dataclass(frozen=True)
class RunConfig:
    """How it is computed."""

    precision: Literal["auto", "fp32", "fp16", "bf16"] = opt(
        "auto", "Mixed precision", "auto takes bf16 where the card has it, fp16 on other cards, fp32 on the CPU.", advanced=True
    )
    checkpointing: bool = opt(False, "Gradient checkpointing", "Needs much less memory and about a third more time.")


@dataclass(frozen=True)
class SaveConfig:
    """The file that comes out."""

    name: str = opt("", "Name", "The LoRA's file name, without ending. Empty takes the trigger word or the folder's name.")
    every_epochs: int = opt(1, "Save every N epochs", "Keep a file of each Nth epoch to compare. 0 saves only the last.", min=0, max=10000)
    precision: Literal["fp16", "bf16", "fp32"] = opt("fp16", "File precision", "fp16 is half as large and what the WebUI reads anyway.", advanced=True)
    replace: bool = opt(False, "Replace", "A file of this name is put into the trash folder. Off: a name that exists is refused.")
    author: str = opt("", "Author", "Written into the file.", advanced=True)
    license: str = opt("", "License", "Written into the file.", advanced=True)
    description: str = opt("", "Description", "Written into the file and shown as notes on its card.", lines=3, advanced=True)


@dataclass(frozen=True)
class PreviewConfig:
    """Pictures sampled while it learns."""

    every_epochs: int = opt(0, "Preview every N epochs", "Sample a picture with the LoRA as it is then. 0 is off.", min=0, max=10000)
    prompt: str = opt("", "Preview prompt", "Empty takes the first picture's caption.", lines=2)
    negative: str = opt("", "Preview negative prompt", "What the preview should not show.", advanced=True)
    seed: int = opt(1, "Preview seed", "The same for every preview, so that they can be compared.", min=0, max=2**32 - 1, advanced=True)
    steps: int = opt(20, "Preview steps", "Sampling steps of a preview.", min=1, max=150, advanced=True)
    cfg: float = opt(7.0, "Preview CFG scale", "How closely a preview follows its prompt.", min=1, max=30, advanced=True)
    size: tuple[int, int] = opt((512, 512), "Preview size", "Width and height of a preview.", min=64, max=2048, advanced=True)


@dataclass(frozen=True)
class TrainConfig:
    """A whole job. Its dotted names are the keys of job files."""

    data: DataConfig = section(DataConfig, "Pictures")
    bucket: BucketConfig = section(BucketConfig, "Buckets")
    caption: CaptionConfig = section(CaptionConfig, "Captions")
    network: Pick = pick(networks, "lora", "Network", "The kind of network that is trained.")
    learning: LearningConfig = section(LearningConfig, "Learning")
    optimizer: Pick = pick(optimizers, "adamw", "Optimizer", "What turns gradients into steps.")
    scheduler: Pick = pick(schedulers, "cosine", "Scheduler", "How the learning rate changes over the run.")
    noise: NoiseConfig = section(NoiseConfig, "Noise")
    loss: LossConfig = section(LossConfig, "Loss")
    model: ModelConfig = section(ModelConfig, "Model")
    run: RunConfig = section(RunConfig, "Device")
    save: SaveConfig = section(SaveConfig, "File")
    preview: PreviewConfig = section(PreviewConfig, "Previews")
