from nbproxy.formats.notes import Notes


def test_nothing_left_out():
    notes = Notes()
    notes.mend("date")
    assert str(notes) == ""
    assert notes.mended["date"] == 1


def test_what_was_left_out_is_counted():
    notes = Notes()
    for what in ("TCP flow", "DNS flow", "TCP flow"):
        notes.leave_out(what)
    notes.skip("entry 3: no url")
    assert str(notes) == (
        "left out 2 TCP flows, 1 DNS flow, 1 entry that cannot be used (entry 3: no url)"
    )


def test_only_the_first_problems_are_told():
    notes = Notes()
    for number in range(1000):
        notes.skip(f"entry {number}: no url")
    assert str(notes).startswith("left out 1000 entries that cannot be used (entry 0: no url; ")
    assert str(notes).endswith("entry 4: no url, ...)")
