"""A bare aiohttp loop with 20 tasks and rows in SQLite, no tracking and no retries: the upper bound.

python aiohttp_items.py URL FOLDER
"""

import asyncio
import json
import sqlite3
import sys
from pathlib import Path

import aiohttp

AT_ONCE = 20


async def main(url: str, folder: Path) -> None:
    """List, then details."""
    database = sqlite3.connect(folder / "items.db")
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, body TEXT)")
    async with aiohttp.ClientSession() as session:
        waiting: list[int] = []
        page, last = 0, 1
        while page < last:
            page += 1
            async with session.get(f"{url}/api/items", params={"page": page, "perPage": 100}) as answer:
                body = await answer.json()
            waiting += [item["id"] for item in body["data"]]
            last = body["last_page"]
        numbers = iter(waiting)

        async def work() -> None:
            for number in numbers:
                async with session.get(f"{url}/api/items/{number}") as answer:
                    item = await answer.json()
                database.execute("INSERT INTO items VALUES (?, ?)", (item["id"], json.dumps(item)))

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    database.commit()
    with (folder / "rows.jsonl").open("w") as rows:
        rows.writelines(f"{body}\n" for (body,) in database.execute("SELECT body FROM items"))


asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
