"""One block and back: what each kind of data becomes, and the choice of the smallest."""
