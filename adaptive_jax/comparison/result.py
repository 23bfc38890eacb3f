"""TEMPORARY until the report branch is merged."""

import dataclasses


@dataclasses.dataclass
class Comparison:
    records: list
    folder: object = None
