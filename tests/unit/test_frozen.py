"""Forms of many rows: the ids come back as they were shown."""

from uuid import uuid4

import pytest

from workers.dashboard.frozen import pack_uuids, unpack_uuids


def test_uuids_come_back_as_they_went_and_nothing_else_is_read() -> None:
    ids = [uuid4() for _ in range(1_000)]

    packed = pack_uuids(ids)

    assert unpack_uuids(packed) == ids
    assert unpack_uuids("") == []
    assert len(packed) < 22_000
    for damaged in (packed[:-4], "abc", "\u00e4", packed[:20] + "\n" + packed[20:], "****"):
        with pytest.raises(ValueError, match="damaged"):
            unpack_uuids(damaged)
    with pytest.raises(ValueError, match="at most 10000"):
        unpack_uuids(pack_uuids(ids * 11))
