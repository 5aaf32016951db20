"""The consistency check: do logs, topics, checkpoints, read tables, payouts and sums agree (`domain.md` §4, §5)?

It only reads, at rest and while everything runs. What is merely on its way is no damage: each check compares what one
database holds at one moment, no further than the checkpoints in it reach, or reads what follows before what it follows
from, so that the latter can only have got longer.
"""
