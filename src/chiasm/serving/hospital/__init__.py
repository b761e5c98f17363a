"""What hospitals speak, to and from the service: FHIR, CDS Hooks, DICOMweb and HL7 v2, by one mapping of codes."""
