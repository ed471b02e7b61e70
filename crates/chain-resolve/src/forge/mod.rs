//! Writes VM configurations, valid or not: for tests and fixtures, never for users' data.
