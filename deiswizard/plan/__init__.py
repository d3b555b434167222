"""Plans: what will change and run, as data."""
