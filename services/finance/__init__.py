"""Finance: what channels say was paid, beside what after-sales believes."""
