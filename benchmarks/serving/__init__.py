"""What the benchmarks of engines share: models, workloads, systems, limits and tables."""
