"""Documents made from a run's folder, and from nothing else."""

from medsec.reports.html import html_report
from medsec.reports.json import json_report
from medsec.reports.junit import junit_report
from medsec.reports.summary import summary

__all__ = ["html_report", "json_report", "junit_report", "summary"]
