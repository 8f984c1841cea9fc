nv_rng = None
