"""Fixtures that every test may use."""

from collections.abc import Iterator

import pytest

from tests.support.network import refuse_foreign_connections
from tests.support.postgres import TestServer, join

refuse_foreign_connections()


@pytest.fixture(scope="session")
def postgres() -> Iterator[TestServer]:
    """The server that all test processes share, started when the first test asks for it."""
    server = join()
    yield server
    server.leave()


@pytest.fixture(scope="session")
def worker_database(postgres: TestServer) -> Iterator[str]:
    """The address of this test process's migrated database; a test that writes here rolls back."""
    url = postgres.create()
    yield url
    postgres.drop(url)


@pytest.fixture
def own_database(postgres: TestServer) -> Iterator[str]:
    """The address of a migrated database of the test's own: for commits, locks, workers and kills."""
    url = postgres.create()
    yield url
    postgres.drop(url)


@pytest.fixture
def empty_database(postgres: TestServer) -> Iterator[str]:
    """The address of a database that no migration has touched."""
    url = postgres.create(empty=True)
    yield url
    postgres.drop(url)
