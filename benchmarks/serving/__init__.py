"""The parts of `bench_serving`: the reference models, the peers, the loads."""
