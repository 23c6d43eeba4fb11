"""Names of NumPy array types that several rooms exchange, and how long integers may be."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = np.ndarray[Any, Any]
"""Any type, any shape."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_DIGITS = 18
"""Of integers in texts: Python refuses to read thousands of digits, and more than these do not fit into 64 bits."""
