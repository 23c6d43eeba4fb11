"""Names of NumPy array types that several rooms exchange."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = np.ndarray[Any, Any]
"""Any type, any shape."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
