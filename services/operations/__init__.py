"""Operations of this system: which kinds of long work there are, how they are run in the background, and over HTTP."""
