"""Real servers, started for a test or a measurement and thrown away afterwards."""
