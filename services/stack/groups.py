"""Consumer groups that were made for a while: taken away again, so that nothing of them stays at the brokers."""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupIdNotFound, KafkaError, NonEmptyGroup, for_code
from aiokafka.protocol.admin import DeleteGroupsRequest

#: How long it is waited for members that have left without saying so: longer than their session lasts.
EMPTY_SECONDS: Final = 15.0
_LOOK_SECONDS: Final = 0.2

log = structlog.get_logger(__name__)


async def forget(admin: AIOKafkaAdminClient, groups: Sequence[str]) -> None:
    """Delete these groups with the offsets that they told; a group that the brokers do not know is no matter.

    Whoever calls this is done with them: what cannot be deleted is told in the log.
    """
    await asyncio.gather(*(_forget(admin, group) for group in groups))


async def _forget(admin: AIOKafkaAdminClient, group: str) -> None:
    try:
        async with asyncio.timeout(EMPTY_SECONDS):
            while not await _deleted(admin, group):  # noqa: ASYNC110 - the broker tells nobody
                await asyncio.sleep(_LOOK_SECONDS)
    except (KafkaError, OSError) as error:  # a timeout is an OSError
        log.warning("group_not_deleted", group=group, error=repr(error))


async def _deleted(admin: AIOKafkaAdminClient, group: str) -> bool:
    """Whether it is gone; False while it has members."""
    coordinator = await admin.find_coordinator(group)
    # Its own client has no call for it.
    answer = await admin._send_request_to_node(coordinator, DeleteGroupsRequest([group]))
    [(_, code)] = answer.results
    error = for_code(code)
    if issubclass(error, NonEmptyGroup):
        return False
    if code and not issubclass(error, GroupIdNotFound):
        raise error(group)
    return True
