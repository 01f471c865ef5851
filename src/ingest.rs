//! A mail came.
