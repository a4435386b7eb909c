"""Reuse of finished stages: what names each, and how one is taken over from another job."""
