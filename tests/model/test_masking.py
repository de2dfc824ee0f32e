"""One salt for a process: the same mask everywhere in it, and another one in the next."""

import subprocess
import sys

from nbproxy.model.masking import default_masker

CODE = "from nbproxy.model.masking import default_masker as m; print(m().mask('s'), m() is m())"


def test_one_masker_for_all():
    masker = default_masker()
    assert masker is default_masker()
    assert len(masker.salt) == 16
    assert masker.mask("s") == default_masker().mask("s") != masker.mask("t")


def test_masks_of_two_processes_cannot_be_compared():
    command = [sys.executable, "-W", "error", "-c", CODE]
    outputs = {
        default_masker().mask("s") + " True\n",
        *(subprocess.check_output(command, text=True, timeout=60) for _ in range(2)),
    }
    assert len(outputs) == 3
    assert all(output.startswith("***") and output.endswith(" True\n") for output in outputs)


def test_the_salt_is_not_shown():
    masker = default_masker()
    assert repr(masker.salt) not in repr(masker)
    assert masker.salt.hex() not in repr(masker)
