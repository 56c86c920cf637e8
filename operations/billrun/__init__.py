"""The bill run's use cases: select, rate, tax, post, count.
Each step stands alone, so that a tax engine can take the middle one."""
