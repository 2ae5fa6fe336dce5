"""OData 4.0 as the PRIP ICD (ESA-EOPG-EOPGC-IF-3) uses it: queries in, JSON and metadata out."""
