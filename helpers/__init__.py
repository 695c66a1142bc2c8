"""What the notebooks share: one small module a subject, imported by name."""
