"""The commands, a file a group; ``orchestration.cli`` puts them together. Heavy imports stand inside each command."""
