"""Tables of the books as files: spreadsheets, CSV, JSON Lines, and a journal in plain text (beancount).

Whatever is written comes page by page and goes to the file at once, so that memory stays flat.
"""
