"""Reconciliation: whether events, ledger and the bills of a channel tell of the same money, to the fen.

A *movement* is money that moved once. It has up to three witnesses: our postings on the account `channel`, the rows of
transaction bills (`trade`: what the channel took on, and never says again), and the rows of what moved on the account
there (`fund`, and every mapped table). Witnesses are put together by rules in this order, never within a tolerance:

1. `exact`: our reference and the amount.
2. `channel_ref`: a number of the channel's and the amount.
3. `order_sum`: the order and the amount, of one row or of several together (a payout that was split).
4. `roll_up`: several postings, of one reference, order or day, that one row (or a few) pays together.
5. `cut_off`: what these put together across midnight; what lies at an edge of what bills or books cover is *carried*.
6. A person: everything else is a discrepancy. It is closed by a correction that a second person approves.

What is what:

- A posting is missing at the channel once bills cover its day and the next; a row is missing with us once the books
  have come to the day behind it. Before, they are carried, and the next run decides about them: each run decides about
  the day before its first too, and counts only its own.
- What was accepted must have moved by the next day, if a fund bill covers both: else it is accepted and not settled. Of
  payments of the sale, which are no business of after-sales, a day's are told together. So the totals of a day of both
  bills differ by what the run tells of it, and by nothing else.
- Witnesses with the same reference and amount that are more than a day apart are a discrepancy too (`cut_off`).
- A refund that came back is closed after acceptance; where the books never held it, both rows are nothing to us.
- Outside are payments of the sale, money that the shop moves between its own accounts, fees of other things, and
  attempts that failed before another succeeded.
- Vouchers move no channel's money: no posting on `channel` is theirs.

Days come in order, one after another; the rules see a day when the next one is there, so memory holds a few days and
what is open. The result depends on what is read and on nothing else: not on the order of rows, not on earlier runs.
"""
