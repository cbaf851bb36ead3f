"""The tables of offline batches."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "batch_event",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job_key", sa.String(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_batch_event_job_key"), "batch_event", ["job_key"], unique=False)
    op.create_table(
        "batch_set",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=True),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("llm", sa.Text(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("num_generations", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("estimate", sa.Float(), nullable=True),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index(op.f("ix_batch_set_run_id"), "batch_set", ["run_id"], unique=False)
    op.create_table(
        "batch_job",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("set_key", sa.String(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("input_file", sa.String(), nullable=False),
        sa.Column("input_ref", sa.String(), nullable=True),
        sa.Column("remote_id", sa.String(), nullable=True),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("counts", sa.String(), nullable=False),
        sa.Column("handles", sa.String(), nullable=False),
        sa.Column("window", sa.String(), nullable=False),
        sa.Column("estimate", sa.Float(), nullable=True),
        sa.Column("cost", sa.Float(), nullable=False),
        sa.Column("cost_known", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("intent_at", sa.Float(), nullable=True),
        sa.Column("submitted_at", sa.Float(), nullable=True),
        sa.Column("ended_at", sa.Float(), nullable=True),
        sa.Column("expires_at", sa.Float(), nullable=True),
        sa.Column("results_expire_at", sa.Float(), nullable=True),
        sa.Column("cancel_requested_at", sa.Float(), nullable=True),
        sa.Column("next_poll_at", sa.Float(), nullable=False),
        sa.Column("polls", sa.Integer(), nullable=False),
        sa.Column("poll_errors", sa.Integer(), nullable=False),
        sa.Column("lookups", sa.Integer(), nullable=False),
        sa.Column("uploads", sa.Integer(), nullable=False),
        sa.Column("lease_owner", sa.String(), nullable=False),
        sa.Column("lease_until", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["set_key"], ["batch_set.key"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("key"),
        sa.UniqueConstraint("input_ref"),
        sa.UniqueConstraint("remote_id"),
    )
    op.create_index(op.f("ix_batch_job_next_poll_at"), "batch_job", ["next_poll_at"], unique=False)
    op.create_index(op.f("ix_batch_job_set_key"), "batch_job", ["set_key"], unique=False)
    op.create_index(op.f("ix_batch_job_state"), "batch_job", ["state"], unique=False)
    op.create_table(
        "batch_request",
        sa.Column("set_key", sa.String(), nullable=False),
        sa.Column("idx", sa.Integer(), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("row", sa.String(), nullable=False),
        sa.Column("cell_key", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("job_key", sa.String(), nullable=False),
        sa.Column("reply", sa.LargeBinary(), nullable=True),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("is_retryable", sa.Boolean(), nullable=False),
        sa.Column("tokens_in", sa.Integer(), nullable=False),
        sa.Column("tokens_out", sa.Integer(), nullable=False),
        sa.Column("cost", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["set_key"], ["batch_set.key"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("set_key", "idx", "part"),
    )
    op.create_index("batch_request_job", "batch_request", ["job_key", "state"], unique=False)
    op.create_index("batch_request_row", "batch_request", ["set_key", "row"], unique=False)


def downgrade() -> None:
    op.drop_index("batch_request_row", table_name="batch_request")
    op.drop_index("batch_request_job", table_name="batch_request")
    op.drop_table("batch_request")
    op.drop_index(op.f("ix_batch_job_state"), table_name="batch_job")
    op.drop_index(op.f("ix_batch_job_set_key"), table_name="batch_job")
    op.drop_index(op.f("ix_batch_job_next_poll_at"), table_name="batch_job")
    op.drop_table("batch_job")
    op.drop_index(op.f("ix_batch_set_run_id"), table_name="batch_set")
    op.drop_table("batch_set")
    op.drop_index(op.f("ix_batch_event_job_key"), table_name="batch_event")
    op.drop_table("batch_event")
