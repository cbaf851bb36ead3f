"""Batch APIs on loopback: OpenAI and those shaped like it, Anthropic, and Gemini."""
