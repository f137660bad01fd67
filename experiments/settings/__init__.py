"""What a user states: options, configurations, YAML files."""
