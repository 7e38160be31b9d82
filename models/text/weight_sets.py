"""The sets of weights of the mixer: what chooses a row of each, and where the rows of each begin.

A mixer of its own, the final one, weighs what the sets make of the inputs.
"""

SETS = 8
# The number of each set, by what chooses its row: the node of the tree, the longest match, what the network expects,
# the last byte, the longest context that was seen before, how sure the network is and how many contexts were seen, the
# kinds of the last three bytes, the byte before the last.
BY_NODE, BY_MATCH, BY_NETWORK, BY_LAST_BYTE, BY_ORDER, BY_AGREEMENT, BY_KINDS, BY_SECOND_BYTE = range(SETS)
# First row of each set in the table of weights, and the number of all rows.
NODES, MATCH, NETWORK, LAST_BYTE, ORDER, AGREEMENT = 0, 512, 1024, 2048, 2304, 2560
KIND, SECOND_BYTE, ROWS = 2816, 4096, 4352
# The final mixer has two sets of rows, chosen as those of BY_NODE and BY_KINDS. It takes the mean of both.
FINAL_KIND, FINAL_ROWS = 512, 512 + SECOND_BYTE - KIND
