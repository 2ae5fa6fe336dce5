"""Delivery: what a user is told or sent without asking again — subscriptions, orders, deleted products, metalinks."""
