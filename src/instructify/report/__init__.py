"""The transfer report: one HTML file and its Markdown twin, made from the files of a run and nothing else."""

from instructify.report.write import Written, write_report

__all__ = ["Written", "write_report"]
