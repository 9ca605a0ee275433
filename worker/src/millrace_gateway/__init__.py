"""The HTTP front of Millrace: single records in, gathered tasks to RabbitMQ, answers from Redis.

The modules in the order of a request: `routes` and `bodies` read it, `auth` says who asks, `asked` what is asked,
`cache` and `flights` whether the answer is there or being computed, `admission` whether a new task may wait, `gather`
and `publish` send it, `answers` waits for what the worker settles. `predictor` puts them together, `app` the process.
"""
