"""Access to AWS: clients, calls, credentials, and the translation of SDK errors into errors of the lake.

The only package that imports the AWS SDK. What is requested of a service belongs to the caller: objects to `storage`,
resources to `provision`, job runs to `engines`.
"""
