"""The print edition: the built site as one PDF, and each page of it as a handout."""
