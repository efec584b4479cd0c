"""The exit codes of all command-line programs; they are Ganeti's, so that scripts keep working."""

from __future__ import annotations

SUCCESS = 0
"""Done; a job that was only submitted (``--submit``) counts as done."""

FAILURE = 1
"""The operation failed, was declined at the prompt, was detached from with Ctrl-C, the number of
arguments was wrong, or the command is not available."""

USAGE = 2
"""An option is unknown or its value is malformed, or the cluster's configuration is broken."""

NOT_A_CLUSTER = 5
"""This machine is not a member of a cluster."""

NOT_MASTER = 11
"""This machine is in a cluster, but the command has to be given on the master node."""

NODE_SETUP_ERROR = 12
"""The node is not set up as the cluster needs it."""

CONFIRMATION_NEEDED = 13
"""The command wanted a confirmation, but there is no terminal to ask on; see ``--force``."""

UNKNOWN_FIELD = 14
"""A list was printed, but a field that was asked for does not exist."""
