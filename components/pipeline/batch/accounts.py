"""A job can be collected only with a key of the account that made it."""

from components.errors import BatchGone, CredentialError
from components.pipeline.batch.in_hand import InHand
from components.pipeline.batch.states import FINISHED, JobState


def why_not_ours(hand: InHand) -> str:
    """Why the key that is there now cannot be used for the job; empty where it can.

    A key that was exchanged for another of the same account is found out by trying, once for each new key.
    """
    made, now = hand.batch.account, hand.provider.account
    if not made or made == now:
        return ""
    (place, _, key), (place_now, _, key_now) = made.partition("#"), now.partition("#")
    if place != place_now:
        return (
            f"This job was made at {place}, and the model is now at {place_now or 'another address'}. "
            "Set that address again to collect it."
        )
    message = (
        f"This job was made with another key (#{key or 'none'}) than the one that is there now (#{key_now or 'none'}). "
        "Enter that key under Models and keys to collect it; its results wait at the provider."
    )
    if hand.job.message == message:
        return message
    if _sees(hand) or _is_unsent(hand):
        hand.store.set_account(hand.batch.key, now)
        hand.change(note="Another key is used from here on.")
        return ""
    return message


def _sees(hand: InHand) -> bool:
    if not hand.job.remote_id:
        return False
    try:
        hand.provider.get(hand.job.remote_id)
    except (BatchGone, CredentialError):
        return False
    return True


def _is_unsent(hand: InHand) -> bool:
    """Whether nothing of the set is at the provider, so that any account may do it."""
    jobs = hand.store.jobs(hand.batch.key)
    if any(job.remote_id or job.intent_at is not None for job in jobs):
        return False
    for job in jobs:
        if job.input_ref is not None and job.state not in FINISHED:
            hand.store.change(job.key, JobState.PLANNED, input_ref=None)
    return True
