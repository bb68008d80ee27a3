"""The steps Regions and Line profile."""
