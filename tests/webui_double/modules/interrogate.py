import torch
from modules import call_queue, modelloader, paths_internal
from torch import nn

SENTENCE = "a girl with {colour} hair, standing, in the rain"


class InterrogateModels:
    blip_model = clip_model = dtype = None
    running_on_cpu = True

    def __init__(self):
        self.acts = []

    def load_blip_model(self):
        modelloader.load_models(f"{paths_internal.models_path}/BLIP", "https://there", [".pth"], "model.pth")
        return nn.Linear(1, 1)

    def generate_caption(self, image):
        assert call_queue.queue_lock.locked(), "somebody else might use the device now"
        assert image.size == (384, 384)
        assert self.dtype is torch.float32, "of BLIP"
        self.acts.append("said")
        red, green, blue = image.getpixel((0, 0))
        return SENTENCE.format(colour="red" if red > max(green, blue) else "blue")

    def send_blip_to_ram(self):
        self.acts.append("sent")

    def load(self):
        raise AssertionError("this loads CLIP")

    interrogate = load


models = InterrogateModels()
