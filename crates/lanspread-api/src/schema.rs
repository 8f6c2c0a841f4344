//! The JSON schema (draft 2020-12) of what a peer prints and reads, generated from the types.
