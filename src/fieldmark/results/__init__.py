"""What evaluation hands to the report: measures, claims, figures and notes."""
