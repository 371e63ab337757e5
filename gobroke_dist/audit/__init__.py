"""A checker for a running deployment: is every WORKER message handled in order, once, and with its effects once?

An application adds an ``AuditLogic``, an ``AsyncAuditLogic``, or both. ``gobroke audit`` then drives them, and judges
what they wrote down: see ``docs/how-to/audit.md``.
"""

from gobroke_dist.audit.logic import AsyncAuditLogic, AuditLogic

__all__ = ["AsyncAuditLogic", "AuditLogic"]
