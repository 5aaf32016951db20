"""A realistic year of a shop from a seed, for tests and demonstrations: orders, cases, what channels paid and billed.

`stories` says how a case of each kind goes, in `steps`; `year` plans all of them; `playing` has a real server decide
them by its rules; `channel` keeps what was really paid; `bills` lists it and `writing` writes it as channels do;
`faults` plants what finance must find there, and `finding` compares that with what finance reports.

`first_day` plans a smaller shop in the middle of its work, and `loading` plays it on a server that is empty, over HTTP
and by the server's own clock.
"""
