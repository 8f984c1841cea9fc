"""What a run was → the metadata of its file, under the names sd-scripts and ModelSpec gave it."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from lib_lora.model import Family, ModelFacts, Prediction

SD_VERSION: Mapping[Family, str] = MappingProxyType({Family.SD1: "sd_v1", Family.SD2: "sd_v2", Family.SDXL: "sdxl_base_v1-0"})
SDXL_IMPLEMENTATION = "https://github.com/Stability-AI/generative-models"
# What sd-scripts writes for options that this program does not have: their defaults there.
NOT_OFFERED: Mapping[str, Any] = MappingProxyType(
    {
        "ss_num_validation_images": 0,
        "ss_num_reg_images": 0,
        "ss_network_dropout": None,
        "ss_full_fp16": False,
        "ss_max_token_length": None,
        "ss_cache_latents": True,
        "ss_lowram": False,
        "ss_multires_noise_iterations": None,
        "ss_multires_noise_discount": 0.3,
        "ss_adaptive_noise_scale": None,
        "ss_training_comment": None,
        "ss_sd_scripts_commit_hash": "(unknown)",
        "ss_caption_dropout_rate": 0.0,
        "ss_caption_dropout_every_n_epochs": 0,
        "ss_caption_tag_dropout_rate": 0.0,
        "ss_face_crop_aug_range": None,
        "ss_prior_loss_weight": 1.0,
        "ss_scale_weight_norms": None,
        "ss_ip_noise_gamma": None,
        "ss_debiased_estimation": False,
        "ss_noise_offset_random_strength": False,
        "ss_ip_noise_gamma_random_strength": False,
        "ss_loss_type": "l2",
        "ss_huber_schedule": "snr",
        "ss_huber_scale": 1.0,
        "ss_huber_c": 0.1,
        "ss_fp8_base": False,
        "ss_fp8_base_unet": False,
        "ss_validation_seed": None,
        "ss_validation_split": 0.0,
        "ss_max_validation_steps": None,
        "ss_validate_every_n_epochs": None,
        "ss_validate_every_n_steps": None,
        "ss_resize_interpolation": None,
        "ss_color_aug": False,
        "ss_flip_aug": False,
        "ss_random_crop": False,
        "ss_reg_dataset_dirs": "{}",
    }
)


@dataclass(frozen=True)
class RunFacts:
    """A run as its file tells it. Sizes are (width, height), times Unix seconds.

    `network` is `Network.metadata()`. `dataset_dirs` is {folder: {"n_repeats", "img_count"}}, `tag_frequency`
    {folder: {tag: count}}, `bucket_info` {"buckets": …, "mean_img_ar_error": …} or None without buckets.
    `images` counts pictures with their repeats, `batch_size` pictures per pass. An empty author, license, description, trigger or title is not written.
    """

    output_name: str
    network: Mapping[str, str]
    model: ModelFacts
    session_id: int
    started_at: float
    images: int
    batches_per_epoch: int
    epochs: int
    max_steps: int
    unet_lr: float
    text_encoder_lr: float
    scheduler: str
    optimizer: str
    resolution: tuple[int, int]
    seed: int
    warmup_steps: int = 0
    batch_size: int = 1
    accumulation: int = 1
    checkpointing: bool = False
    mixed_precision: Literal["no", "fp16", "bf16"] = "no"
    max_grad_norm: float = 1.0
    noise_offset: float = 0.0
    min_snr_gamma: float = 0.0
    shuffle_caption: bool = False
    keep_tokens: int = 0
    enable_bucket: bool = True
    bucket_no_upscale: bool = False
    bucket_reso: tuple[int, int] | None = None
    dataset_dirs: Mapping[str, Any] = field(default_factory=dict)
    tag_frequency: Mapping[str, Any] = field(default_factory=dict)
    bucket_info: Mapping[str, Any] | None = None
    author: str = ""
    license: str = ""
    description: str = ""
    trigger: str = ""
    title: str = ""
    tags: str = ""
    program: str = "lora-studio"


def build(facts: RunFacts, epoch: int, step: int, finished_at: float) -> dict[str, str]:
    """The metadata of a file saved after `step` steps in `epoch`, every value as text, what is unknown as "None"."""
    values = {
        **NOT_OFFERED,
        **_version(facts.model),
        **_progress(facts, epoch, step, finished_at),
        **_learning(facts),
        **_data(facts),
        **_model(facts),
        **facts.network,
    }
    return {name: str(value) for name, value in values.items()} | _modelspec(facts, finished_at)


def is_v2(family: Family) -> bool:
    """`ss_v2`, by which the WebUI tells SD2."""
    return family is Family.SD2


def _version(model: ModelFacts) -> dict[str, Any]:
    """Always written: the WebUI hides a file whose family it takes for another one."""
    version = SD_VERSION[model.family]
    if model.family is not Family.SDXL and model.prediction is Prediction.V:
        version += "_v"
    return {"ss_v2": is_v2(model.family), "ss_base_model_version": version}


def _progress(facts: RunFacts, epoch: int, step: int, finished_at: float) -> dict[str, Any]:
    return {
        "ss_session_id": facts.session_id,
        "ss_training_started_at": facts.started_at,
        "ss_training_finished_at": finished_at,
        "ss_output_name": facts.output_name,
        "ss_epoch": epoch,
        "ss_num_epochs": facts.epochs,
        "ss_steps": step,
        "ss_max_train_steps": facts.max_steps,
    }


def _learning(facts: RunFacts) -> dict[str, Any]:
    return {
        "ss_learning_rate": facts.unet_lr or facts.text_encoder_lr,
        "ss_unet_lr": facts.unet_lr,
        "ss_text_encoder_lr": facts.text_encoder_lr,
        "ss_lr_scheduler": facts.scheduler,
        "ss_lr_warmup_steps": facts.warmup_steps,
        "ss_optimizer": facts.optimizer,
        "ss_gradient_accumulation_steps": facts.accumulation,
        "ss_gradient_checkpointing": facts.checkpointing,
        "ss_mixed_precision": facts.mixed_precision,
        "ss_max_grad_norm": facts.max_grad_norm,
        "ss_noise_offset": facts.noise_offset or None,
        "ss_min_snr_gamma": facts.min_snr_gamma or None,
        "ss_zero_terminal_snr": facts.model.zero_terminal,
        "ss_seed": facts.seed,
    }


def _data(facts: RunFacts) -> dict[str, Any]:
    low, high = facts.bucket_reso or (None, None)
    return {
        "ss_num_train_images": facts.images,
        "ss_num_batches_per_epoch": facts.batches_per_epoch,
        "ss_batch_size_per_device": facts.batch_size,
        "ss_total_batch_size": facts.batch_size * facts.accumulation,
        "ss_resolution": facts.resolution,
        "ss_shuffle_caption": facts.shuffle_caption,
        "ss_keep_tokens": facts.keep_tokens,
        "ss_enable_bucket": facts.enable_bucket,
        "ss_bucket_no_upscale": facts.bucket_no_upscale,
        "ss_min_bucket_reso": low,
        "ss_max_bucket_reso": high,
        "ss_dataset_dirs": json.dumps(facts.dataset_dirs),
        "ss_tag_frequency": json.dumps(facts.tag_frequency),
        "ss_bucket_info": json.dumps(facts.bucket_info),
    }


def _model(facts: RunFacts) -> dict[str, Any]:
    model = facts.model
    known = {
        "ss_clip_skip": None if model.family is Family.SDXL else model.clip_skip,
        "ss_sd_model_name": model.file.name if model.file else model.name,
    }
    if model.old_hash:
        known["ss_sd_model_hash"] = model.old_hash
    if model.sha256:
        known["ss_new_sd_model_hash"] = model.sha256
    return known


def _modelspec(facts: RunFacts, finished_at: float) -> dict[str, str]:
    family, v = facts.model.family, facts.model.prediction is Prediction.V
    architecture = {
        Family.SD1: "stable-diffusion-v1",
        Family.SD2: "stable-diffusion-v2-768-v" if v else "stable-diffusion-v2-512",
        Family.SDXL: "stable-diffusion-xl-v1-base",
    }[family]
    known = {
        "sai_model_spec": "1.0.1",
        "architecture": f"{architecture}/lora",
        "implementation": SDXL_IMPLEMENTATION if family is Family.SDXL else "diffusers",
        "implementation_version": facts.program,
        "title": facts.title or facts.output_name,
        "resolution": "{}x{}".format(*facts.resolution),
        "date": datetime.datetime.fromtimestamp(int(finished_at)).isoformat(),
        "prediction_type": facts.model.prediction.value,
        "encoder_layer": "" if family is Family.SDXL else str(facts.model.clip_skip),
        "author": facts.author,
        "description": facts.description,
        "license": facts.license,
        "tags": facts.tags,
        "trigger_phrase": facts.trigger,
    }
    return {f"modelspec.{name}": value for name, value in known.items() if value}
