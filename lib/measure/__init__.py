"""What hiding cost: probes, curves, stability, fairness; one value per sample, with the protocol that made it."""
