"""A folder → a project copy that is ready to train: cropped, padded, enlarged, mirrored, sorted into N_name folders."""
