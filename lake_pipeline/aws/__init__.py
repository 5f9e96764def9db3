"""The door to AWS: how clients are made, what a failure is called, and which of them may help when tried again.

What is asked of a service belongs to the module that asks: objects to storage, resources to provisioning.
"""
