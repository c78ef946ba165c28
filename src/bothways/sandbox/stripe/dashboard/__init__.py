"""The sandbox's page: what a person sees and does at ``/dashboard``, as in Stripe's own."""
