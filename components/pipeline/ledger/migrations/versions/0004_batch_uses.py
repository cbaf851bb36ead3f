"""Runs that take their answers from the batches of another run are written down."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "batch_use",
        sa.Column("set_key", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("step", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["set_key"], ["batch_set.key"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("set_key", "run_id", "step"),
    )
    op.create_index("ix_batch_use_run_id", "batch_use", ["run_id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_batch_use_run_id", table_name="batch_use")
    op.drop_table("batch_use")
