"""Prefect flows: the order of the steps, and what to do when one fails. No method lives here."""

import os

# Read by Prefect when it is imported, and by the server it starts: offline, patient, and quiet,
# because what goes wrong is raised, and said once.
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
os.environ.setdefault("PREFECT_SERVER_LOGGING_LEVEL", "CRITICAL")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
os.environ.setdefault("DO_NOT_TRACK", "1")
