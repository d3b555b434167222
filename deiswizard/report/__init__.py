"""The production readiness report: one model, on paper in Markdown and in HTML."""
