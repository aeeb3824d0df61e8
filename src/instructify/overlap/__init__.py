"""Overlap of texts: which rows stand in others, or nearly do. Pure functions over columns, floor 1."""
