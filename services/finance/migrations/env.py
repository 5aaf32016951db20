from services.kernel.migrations import run_revisions

run_revisions()
