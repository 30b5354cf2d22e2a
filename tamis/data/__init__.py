"""Loading, saving, formats, example ids, the catalogue and the feature store."""
