"""What tests stand on: conformance suites, fakes with behavior, tables with known truth."""

from __future__ import annotations
