"""What the models of text, pictures and sound share.

Binary decisions on their way to a coder (`coding.py`), the mixer (`mixer.py`), adaptive probability maps (`apm.py`),
least squares (`least_squares.py`), fixed tables (`logistic.py`, `code_length.py`), how kernels are compiled (`jit.py`),
and what self-tests hash (`digest.py`).
"""
