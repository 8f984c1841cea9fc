"""What the WebUI and our lease on it promise each other, as functions that run inside a WebUI process.

`test_webui_contract.py` runs them in the double (webui_double/), and in a real WebUI through webui_driver.py. So they
use nothing of pytest, take the loaded model as they find it, and return the figures that are worth printing.
"""

from __future__ import annotations

import webui_contract_dataset
import webui_contract_lease
import webui_contract_model
import webui_contract_networks
from webui_bench import PROMISES, tidy

__all__ = ["PROMISES", "tidy", "webui_contract_dataset", "webui_contract_lease", "webui_contract_model", "webui_contract_networks"]
