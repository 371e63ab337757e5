"""A checker for a running deployment: is every WORKER message handled in order, once, and with its effects once?

An application adds ``AuditLogic``; ``gobroke audit`` then drives it, and judges what it wrote down.
"""

from gobroke_dist.audit.logic import AuditLogic

__all__ = ["AuditLogic"]
