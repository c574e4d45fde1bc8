"""How Alembic runs the history; called by app/kernel/migrate.py, which brings the connection."""

from alembic import context

from app.kernel.migrate import VERSION_SCHEMA, VERSION_TABLE

connection = context.config.attributes.get("connection")
if connection is None and not context.is_offline_mode():
    raise SystemExit("Use `rapport db upgrade`: it takes the lock and the role that migrations need.")

context.configure(
    connection=connection,
    dialect_name="postgresql",
    literal_binds=context.is_offline_mode(),
    version_table=VERSION_TABLE,
    version_table_schema=VERSION_SCHEMA,
    transaction_per_migration=True,
)
if context.is_offline_mode():
    context.execute(f"CREATE SCHEMA IF NOT EXISTS {VERSION_SCHEMA}")
with context.begin_transaction():
    context.run_migrations()
