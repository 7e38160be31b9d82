"""FLAC files as samples and side data."""
