"""The benches: that they measure what they say, and that their bars can be missed."""
