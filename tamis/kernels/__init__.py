"""Arrays in, arrays out: nothing here knows of datasets, models or files."""
