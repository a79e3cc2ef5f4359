"""Webhooks: telling a client's URL how its job ended, or that it is paused.

`jobs.outbox` writes what is to be sent, in the transaction that it tells of; `sender`
sends it, as often as it takes, with `post`; `address` says where it may go, and
`signature` proves where it comes from.
"""
