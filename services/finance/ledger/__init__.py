"""The ledger: every money event as balanced double-entry postings, made anew from the logs whenever it is asked for.

Nothing here is stored, and nothing here can write: it is given reads only, and knows events, not services.
"""
