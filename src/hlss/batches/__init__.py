"""Which tiles (sampler), how they are seen (views), and the stream of both (loader)."""
