from argparse import Namespace

from modules import devices

device = devices.device
cmd_opts = Namespace(
    lowvram=False, medvram=False, precision="autocast", lora_dir="", api_auth=None, gradio_auth=None, listen=False, share=False,
    ngrok=None, server_name=None, hide_ui_dir_config=False, gradio_allowed_path=None, no_prompt_history=False, no_half=True,
)  # fmt: skip
loaded_hypernetworks = []
parallel_processing_allowed = True


class Options:
    def __init__(self):
        # As in the real one, `data` holds only what was saved; everything else is a default.
        self.data = {"sd_model_checkpoint": ""}
        self.data_labels = {
            "sd_unet": "Automatic", "live_previews_enable": True, "token_merging_ratio": 0.0,
            "CLIP_stop_at_last_layers": 1, "sd_noise_schedule": "Default", "fp8_storage": "Disable", "emphasis": "No norm",
            "use_old_emphasis_implementation": False, "sdxl_clip_l_skip": False, "unload_models_when_training": False,
            "sdxl_crop_top": 0, "sdxl_crop_left": 0, "localization": "None",
            "interrogate_clip_num_beams": 1, "interrogate_clip_min_length": 24, "interrogate_clip_max_length": 48,
        }  # fmt: skip

    def __getattr__(self, name):
        for values in (self.__dict__["data"], self.__dict__["data_labels"]):
            if name in values:
                return values[name]
        raise AttributeError(name)


class State:
    skipped = interrupted = stopping_generation = False
    job = ""
    job_no = job_count = sampling_step = 0

    def begin(self, job):
        self.job, self.job_no, self.job_count = job, 0, -1
        self.skipped = self.interrupted = self.stopping_generation = False

    def end(self):
        self.job, self.job_count = "", 0


opts = Options()
state = State()


def __getattr__(name):
    if name == "sd_model":
        from modules import sd_models

        return sd_models.model_data.sd_model
    if name == "interrogator":
        from modules import interrogate

        return interrogate.models
    raise AttributeError(name)
