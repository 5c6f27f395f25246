"""A server under load and faults; see ``benchmarks/bench_serving.py``."""
