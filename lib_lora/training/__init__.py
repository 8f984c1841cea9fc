"""The training core: batches → noise → prediction → loss → step. Knows models by protocol and no host."""
