"""Reconciliation: whether events, ledger and the bills of a channel tell of the same money, to the fen.

A *movement* is money that moved once. It has up to three witnesses: our postings on the account `channel`, the rows of
transaction bills (`trade`), and the rows of what moved on the account there (`fund`, and every mapped table). Witnesses
are put together by rules in this order, never within a tolerance:

1. `exact`: our reference and the amount.
2. `channel_ref`: a number of the channel's and the amount.
3. `order_sum`: the order and the amount, of one row or of several together (a payout that was split).
4. `roll_up`: several postings, of one reference, order or day, that one row (or a few) pays together.
5. `cut_off`: what these put together across midnight; and what lies at an edge of what the bills cover is *carried*.
6. A person: everything else is a discrepancy.

Days come in order, one after another; the rules see a day when the next one is there, so memory holds a few days and
what is open. The result depends on what is read and on nothing else: not on the order of rows, not on earlier runs.
"""
