"""Window → real FFT → magnitude, frame by frame, over a signal with overlap.

Takes: `SpectralParameters`. Gives: spectra that pass a gate against float64, and their latencies.
"""
