"""A sale, from a cart to a paid invoice, as short transactions. Each may be repeated; what is between two of them is
the workflow's."""
