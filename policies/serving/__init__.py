"""The agent behind the OpenAI API, the page, MCP and other people's frameworks.

Nothing is imported here: each of them needs another package.
"""
