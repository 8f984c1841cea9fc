class PostprocessedImage:
    def __init__(self, image):
        self.image, self.info, self.caption = image, {}, None


class ScriptPostprocessing:
    name, order = None, 1000
