"""Batch answers are found by what was asked, and jobs know how many tokens they queue."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("batch_job", sa.Column("tokens", sa.Integer(), nullable=False, server_default="0"))
    op.create_index("batch_request_cell", "batch_request", ["cell_key"], unique=False)


def downgrade() -> None:
    op.drop_index("batch_request_cell", table_name="batch_request")
    op.drop_column("batch_job", "tokens")
