"""Parts of bench_detection: mosaics, the way of LEGUS, the truth, tables."""
