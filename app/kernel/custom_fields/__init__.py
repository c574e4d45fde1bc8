"""Fields that a tenant adds to a record type: defined at run time, first class everywhere.

Values live in the record's `custom` column (JSONB with a GIN index, which serves equality). A field declared
indexed or unique also has its values in `kernel.custom_values`, typed, which serves ranges and uniqueness.
"""

from app.kernel.custom_fields.store import Cleaned, CustomFields

__all__ = ["Cleaned", "CustomFields"]
