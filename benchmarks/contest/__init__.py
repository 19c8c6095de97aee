"""The contest of `bench_quality`: tables, systems, scores. Peers have their own environments."""
