"""How Alembic reaches the ledger: over the connection that asked for the upgrade."""

from alembic import context

from components.pipeline.ledger.tables import metadata

config = context.config
context.configure(
    connection=config.attributes["connection"],
    target_metadata=metadata,
    version_table=config.attributes["version_table"],
    render_as_batch=True,
    transactional_ddl=False,
)
context.run_migrations()
