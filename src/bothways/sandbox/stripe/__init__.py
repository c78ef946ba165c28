"""A stateful stand-in for Stripe: customers, products, events, webhooks, and faults on demand.

In a process of its own or beside other things on an event loop::

    await serve("127.0.0.1", 12111)                 # until cancelled

    async with running(settings=Settings(rate=None)) as stripe:
        client = stripe_sdk.StripeClient("sk_test_x", base_addresses={"api": stripe.url})
        stripe.sandbox.faults.add(Rule(Fault.DROP_AFTER, times=1))
"""

from bothways.sandbox.stripe.faults import Fault, Rule
from bothways.sandbox.stripe.sandbox import Sandbox
from bothways.sandbox.stripe.server import Running, create_app, free_port, running, serve
from bothways.sandbox.stripe.settings import Settings

__all__ = ["Fault", "Rule", "Running", "Sandbox", "Settings", "create_app", "free_port", "running", "serve"]
