"""Rendering: the reference path, and what both paths share."""
