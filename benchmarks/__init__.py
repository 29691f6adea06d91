"""Benchmarks: each prints figures beside their budget and a named peer, taken in the same run. None of them asserts."""
