"""The demos that `graftnet demo` runs: on digits, and on a folder of one's own photographs."""
