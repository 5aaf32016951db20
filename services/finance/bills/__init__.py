"""Bills of channels and carriers, read into typed rows and checked against themselves.

`reading.Bill` reads one file once, with flat memory: rows as they come, then a report with every mistake. What is not
sound in itself is not to be imported; nothing here knows a database.
"""
