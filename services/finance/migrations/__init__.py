"""Migrations of this service's database."""
