"""Measurements. Figures are ratios of medians taken in one run, interleaved, after warm-up."""
