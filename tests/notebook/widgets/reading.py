"""A browser in Python: reads batches as `mirror.mjs` does, and keeps rows by slot."""

import struct

_CODES = {"f8": "d", "f4": "f", "u4": "I", "u2": "H", "u1": "B", "t4": "I", "t2": "H"}


def rows_of(content, raw):
    """The rows of an encoded batch, as dictionaries."""
    count, strings = content["count"], content["strings"]
    rows = [{} for _ in range(count)]
    offset = 0
    for name, kind, *constant in content["columns"]:
        if constant:
            values = constant * count
        else:
            assert offset % int(kind[1]) == 0, "typed arrays need aligned columns"
            values = struct.unpack_from(f"<{count}{_CODES[kind]}", raw, offset)
            offset += count * int(kind[1])
        for row, value in zip(rows, values, strict=True):
            row[name] = strings[value] if kind[0] == "t" else value
    assert offset == len(raw)
    return rows


class Mirror:
    """Rows by slot, what the filter says of them, and what was lost on the way."""

    def __init__(self):
        self.epoch = -1
        self.rows = {}
        self.match = {}
        self.total = 0

    def apply(self, content, buffers):
        if content["epoch"] != self.epoch:
            self.epoch, self.rows, self.match = content["epoch"], {}, {}
        self.total = content["total"]
        if rows := content.get("rows"):
            slots = struct.unpack(f"<{rows['count']}I", buffers[rows["slots"]])
            self.rows |= dict(zip(slots, rows_of(rows, buffers[rows["bytes"]]), strict=True))
        for slot in content["gone"]:
            self.rows.pop(slot, None)
        if match := content.get("match"):
            answers = buffers[match["bytes"]]
            if "base" in match:
                slots = range(match["base"], match["base"] + len(answers))
            else:
                slots = struct.unpack(f"<{len(answers)}I", buffers[match["slots"]])
            self.match |= dict(zip(slots, answers, strict=True))

    @property
    def ids(self):
        return sorted(row["id"] for row in self.rows.values())

    @property
    def shown(self):
        return sorted(row["id"] for slot, row in self.rows.items() if self.match.get(slot) == 1)
