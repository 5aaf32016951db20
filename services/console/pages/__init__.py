"""The pages, one module a subject: each asks the API and shows what it answers."""
