"""Measurements of the services apart, on a real PostgreSQL and a real Kafka: `python -m benchmarks.stack`."""
