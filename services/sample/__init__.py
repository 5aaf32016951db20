"""A realistic year of a shop from a seed, for tests and demonstrations: orders, cases, what channels paid and billed.

`year` plans what people do, `stories` says how a case of each kind goes, `playing` has a real server decide it all,
`channel` keeps what was really paid, `bills` writes what the channels deliver of it, and `faults` plants what finance
must find there.
"""
