"""A slow pool delays no other one."""

import asyncio

from millrace_operator.pools.chores import Chores, wait_for


def test_who_is_slow_is_waited_for_once_and_stays_busy_until_it_is_done() -> None:
    async def play() -> list[bool]:
        chores, answer = Chores(most=2), asyncio.Event()

        async def quick() -> None:
            await asyncio.sleep(0)

        async def slow() -> None:
            await answer.wait()

        chores.begin("quick", quick())
        chores.begin("slow", slow())
        has_room = chores.room > 0
        await wait_for(chores, 0.01)
        seen = [has_room, chores.is_busy("quick"), chores.is_busy("slow")]
        await wait_for(chores, 60.0)
        answer.set()
        for _ in range(3):
            await asyncio.sleep(0)
        return [*seen, chores.is_busy("slow")]

    assert [False, False, True, False] == asyncio.run(play())


def test_a_defect_in_one_is_logged_and_ends_nothing() -> None:
    async def play() -> bool:
        chores = Chores(most=2)

        async def broken() -> None:
            raise ValueError("a defect")

        chores.begin("broken", broken())
        await wait_for(chores, 1.0)
        return chores.is_busy("broken")

    assert asyncio.run(play()) is False
