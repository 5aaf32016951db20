"""Proof that a log was not altered: `proving.py` is where to begin.

The chain of a stream stands alone, so proof never makes writers of different streams wait for each other; `chain.py`
checks it. Positions must be dense (`positions.py`), so a stream that was dropped whole leaves a hole. One root over all
streams as of a position (`merkle.py`), signed and kept elsewhere (`checkpoint.py`), shows the rest.

What the proof does not show:

- Whoever owns the database can rewrite whole streams with new hashes, and drop streams and number positions anew.
  Only a checkpoint that was made earlier and kept out of their reach shows that, for what the log held by then.
- Positions and what is written beside the log (read tables, inboxes, checkpoints of consumers, answers) are in no hash.
- Whether what was recorded is true, and whether whoever is named as its actor was really that person.
- A checkpoint is as good as its key: whoever has the private key can sign anything.
"""

from services.kernel.proof.chain import BrokenLink
from services.kernel.proof.proving import (
    Proof,
    Proven,
    Root,
    prove,
    prove_range,
    prove_stream,
    root,
    root_of,
    verify,
)

__all__ = [
    "BrokenLink",
    "Proof",
    "Proven",
    "Root",
    "prove",
    "prove_range",
    "prove_stream",
    "root",
    "root_of",
    "verify",
]
