current_unet_option = None


def apply_unet(option=None):
    assert option == "None" or current_unet_option is None
