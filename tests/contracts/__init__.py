"""Contracts of every operation, generated from the OpenAPI document: a new module is covered by existing."""
